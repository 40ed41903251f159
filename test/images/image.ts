import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { tar } from './tar.ts';

/** Images for tests and examples, made without a container engine: an OCI layout or a `docker save` archive. */

export interface ImageSpec {
  /** Plain tar archives, lowest first. */
  layers: readonly Buffer[];
  /** The `config` part of the configuration. */
  config?: {
    Entrypoint?: readonly string[];
    Cmd?: readonly string[];
    Env?: readonly string[];
    User?: string;
    WorkingDir?: string;
    StopSignal?: string;
    ExposedPorts?: Record<string, object>;
    Volumes?: Record<string, object>;
    Labels?: Record<string, string>;
  };
  /** Default amd64. */
  architecture?: string;
  /** Of the layers in an OCI layout. Default none. */
  compression?: 'none' | 'gzip' | 'zstd';
}

/** One entry of an index: an image, or an index within it, or what tells of an image: BuildKit's attestation, an artifact of OCI 1.1. */
export type IndexEntry = (
  | { image: ImageSpec }
  | { index: readonly IndexEntry[] }
  | { attestation: true }
  | { artifact: true }
) & {
  /** `org.opencontainers.image.ref.name` */
  name?: string;
  /** Leave the platform out, as some tools do. */
  noPlatform?: boolean;
};

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string };
  annotations?: Record<string, string>;
}

const OCI = 'application/vnd.oci.image';
const SUFFIX = { none: '', gzip: '+gzip', zstd: '+zstd' } as const;

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Writes an OCI layout; what was in the folder goes. */
export async function writeOciLayout(folder: string, entries: readonly IndexEntry[]): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  for (const [path, bytes] of ociFiles(entries)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
}

/** The same as an archive. */
export function ociArchive(entries: readonly IndexEntry[]): Buffer {
  return tar([...ociFiles(entries)].map(([name, content]) => ({ name, content })));
}

/** Files of an OCI layout by path. */
export function ociFiles(entries: readonly IndexEntry[]): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const add = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = digestOf(bytes);
    files.set(`blobs/${digest.replace(':', '/')}`, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  files.set('oci-layout', json({ imageLayoutVersion: '1.0.0' }));
  files.set('index.json', json(index(entries, add)));
  return files;
}

/**
 * An archive of `docker save` in its old form: configuration and layers by name. `stored` are other bytes for the layers'
 * files than those whose digests the configuration names.
 */
export function dockerArchive(spec: ImageSpec, tags: readonly string[] = [], stored = spec.layers): Buffer {
  const config = configBytes(spec);
  const hex = digestOf(config).slice('sha256:'.length);
  const layers = stored.map((content, number) => ({ name: `layer-${number}/layer.tar`, content }));
  const manifest = [{ Config: `${hex}.json`, RepoTags: tags, Layers: layers.map(({ name }) => name) }];
  return tar([
    { name: `${hex}.json`, content: config },
    ...layers.flatMap((layer, number) => [{ name: `layer-${number}/` }, layer]),
    { name: 'manifest.json', content: json(manifest) },
  ]);
}

function index(entries: readonly IndexEntry[], add: (bytes: Buffer, mediaType: string) => Descriptor): object {
  const manifests = entries.map((entry) => {
    const annotations =
      entry.name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': entry.name } };
    if ('index' in entry) return { ...add(json(index(entry.index, add)), `${OCI}.index.v1+json`), ...annotations };
    if ('attestation' in entry) {
      return {
        ...add(manifestOf(add(json({}), `${OCI}.config.v1+json`)), `${OCI}.manifest.v1+json`),
        platform: { os: 'unknown', architecture: 'unknown' },
        annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
      };
    }
    if ('artifact' in entry) {
      return add(manifestOf(add(json({}), 'application/vnd.oci.empty.v1+json')), `${OCI}.manifest.v1+json`);
    }
    const architecture = entry.image.architecture ?? 'amd64';
    return {
      ...add(json(imageManifest(entry.image, add)), `${OCI}.manifest.v1+json`),
      ...(entry.noPlatform === true ? {} : { platform: { os: 'linux', architecture } }),
      ...annotations,
    };
  });
  return { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests };
}

/** Of something without layers. */
function manifestOf(config: Descriptor): Buffer {
  return json({ schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers: [] });
}

function imageManifest(spec: ImageSpec, add: (bytes: Buffer, mediaType: string) => Descriptor): object {
  const compression = spec.compression ?? 'none';
  const layers = spec.layers.map((layer) => {
    const bytes = compression === 'gzip' ? gzipSync(layer) : compression === 'zstd' ? zstdCompressSync(layer) : layer;
    return add(bytes, `${OCI}.layer.v1.tar${SUFFIX[compression]}`);
  });
  const config = add(configBytes(spec), `${OCI}.config.v1+json`);
  return { schemaVersion: 2, mediaType: `${OCI}.manifest.v1+json`, config, layers };
}

function configBytes(spec: ImageSpec): Buffer {
  return json({
    architecture: spec.architecture ?? 'amd64',
    os: 'linux',
    config: spec.config ?? {},
    rootfs: { type: 'layers', diff_ids: spec.layers.map(digestOf) },
  });
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
