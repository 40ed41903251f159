import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { Image } from '../image/image.ts';
import { decodeJson } from '../image/image-config.ts';
import type { WorkDir } from '../work-dir.ts';
import { labelsOf, type ReleaseFacts } from './labels.ts';
import { baseLayers, enclaveLayer, type PlainLayer } from './layer.ts';

export interface ReleaseOptions {
  eif: { path: string; size: number };
  manifest: Buffer;
  /** Ports that the manifest lets in. */
  ports: readonly number[];
  base: Image;
  facts: ReleaseFacts;
  work: WorkDir;
}

/** A release image, made and not yet anywhere. */
export interface ReleaseImage {
  /** Digest of the configuration: what engines call the image's id. */
  id: string;
  /** Digest of the manifest: what registries call it. */
  digest: string;
  config: Buffer;
  manifest: Buffer;
  /** Lowest first. */
  layers: readonly PlainLayer[];
}

const EPOCH = '1970-01-01T00:00:00Z';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

// Everything of the base's configuration stays as it is, but for what is added here
const configSchema = z.looseObject({
  config: z
    .looseObject({
      Labels: z.record(z.string(), z.string()).nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
  rootfs: z.looseObject({ diff_ids: z.array(z.string()) }),
  history: z.array(z.unknown()).nullish(),
});

/**
 * Makes a release image: the base plus one layer with the EIF and the manifest. Not by an engine's build, which writes times
 * into it and cannot make one for another architecture: the same inputs give the same digests everywhere.
 */
export async function makeReleaseImage(options: ReleaseOptions): Promise<ReleaseImage> {
  const { base, work } = options;
  const layers = [...(await baseLayers(base, work)), await enclaveLayer(options.eif, options.manifest, work)];
  const labels = labelsOf(options.facts);
  const config = extendConfig(options, labels, layers.at(-1)?.digest ?? '');
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: CONFIG_TYPE, digest: digestOf(config), size: config.length },
      layers: layers.map(({ digest, size }) => ({ mediaType: LAYER_TYPE, digest, size })),
      annotations: labels,
    }),
  );
  return { id: digestOf(config), digest: digestOf(manifest), config, manifest, layers };
}

function extendConfig({ base, ports }: ReleaseOptions, labels: Record<string, string>, diffId: string): Buffer {
  const config = decodeJson(base.configBytes, configSchema, `the configuration of ${base.name ?? 'the base'}`);
  const exposed = Object.fromEntries(ports.map((port) => [`${port}/tcp`, {}]));
  const step = { created: EPOCH, created_by: 'enclaver build', comment: 'application.eif, enclaver.yaml' };
  return Buffer.from(
    JSON.stringify({
      ...config,
      created: EPOCH,
      config: {
        ...config.config,
        Labels: { ...config.config?.Labels, ...labels },
        ...(ports.length === 0 ? {} : { ExposedPorts: { ...config.config?.ExposedPorts, ...exposed } }),
      },
      rootfs: { ...config.rootfs, diff_ids: [...config.rootfs.diff_ids, diffId] },
      history: [...(config.history ?? []), step],
    }),
  );
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
