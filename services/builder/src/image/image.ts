import type { Platform } from '../platform.ts';
import type { OpenBlob } from './blob-store.ts';
import type { ImageConfig } from './image-config.ts';

export interface Layer {
  /** Opens the bytes as they are stored. */
  open(): Promise<OpenBlob>;
  /** Digest of the bytes as they are stored; an archive of `docker save` names none. */
  digest?: string;
  /** Digest of the plain tar. */
  diffId: string;
}

/** An image whose metadata was read and checked; its layers not yet. Disposing it closes its files. */
export interface Image extends AsyncDisposable {
  /** `sha256:…` of the configuration's bytes. */
  id: string;
  config: ImageConfig;
  platform: Platform;
  /** The configuration as it stands. */
  configBytes: Buffer;
  /** Lowest first. */
  layers: readonly Layer[];
  /** As the manifest names it. */
  name?: string;
  /** `repository@sha256:…` of the registry that it is from, where that is known. */
  repoDigest?: string;
}
