import type { BuildProgress, OperationResponse } from '@enclaver/bus';
import type { Manifest } from '@enclaver/manifest';
import type { Platform } from './platform.ts';
import type { WorkDir } from './work-dir.ts';

export interface BuildOptions {
  /** The manifest's text, which goes into the image as it is. */
  manifest: string;
  /** Name of the manifest in messages. */
  manifestFile: string;
  /** Absolute folder that relative paths of the manifest start from. */
  contextDir: string;
  /** Take this image in place of the manifest's `sources.app`. */
  from?: string;
  /** Of an image for several; default: its own, or this machine's where it has several. */
  platform?: Platform;
  /** Fetch the app's image even if the engine has it. */
  pull?: boolean;
  /** Absolute path for the EIF; no release image is made then. */
  eifOnly?: string;
  /** Push the release image to the registry of its name. */
  push?: boolean;
  /** Attach SLSA provenance to the pushed image, or write it beside the EIF. */
  provenance?: boolean;
  /** The same with a software bill of materials. */
  sbom?: boolean;
  /** Path of a cosign key, or a KMS key as cosign names it: sign image, measurements, provenance and SBOM. */
  signKey?: string;
  /** Build the EIF a second time under other conditions, and refuse one that differs. */
  check?: boolean;
  /** Leave the manifest's signature away: for a file that is only compared. */
  unsigned?: boolean;
  /** Folder for work files and images. */
  dataDir: string;
  /** Folder of the enclave runtimes, one folder per architecture. */
  runtime: string;
  /** Base of the release image where the manifest names none. */
  baseImage?: string;
  /** Most bytes of work files, which are the image's layers unpacked. Default: as `limits` says. */
  maxUnpackedBytes?: number;
  /** Ends the build with the signal's reason. */
  signal?: AbortSignal;
  onProgress?: (progress: BuildProgress) => void;
  /** What the image has and an enclave does not carry; for people. */
  onWarning?: (text: string) => void;
}

export type BuildResult = OperationResponse<'builder', 'build'>;

/** One build under way. */
export interface Build {
  options: BuildOptions;
  manifest: Manifest;
  work: WorkDir;
  progress: (progress: BuildProgress) => void;
}
