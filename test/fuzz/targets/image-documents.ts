import { BuilderError } from '../../../services/builder/src/builder-error.ts';
import { decodeImageConfig, decodeJson } from '../../../services/builder/src/image/image-config.ts';
import { decodeManifest, indexSchema } from '../../../services/builder/src/image/oci-manifest.ts';
import { readOrRefuse } from '../target.ts';

const digest = `sha256:${'0'.repeat(64)}`;
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 };

export const seeds = [
  JSON.stringify({
    schemaVersion: 2,
    config,
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 3 }],
  }),
  JSON.stringify({ manifests: [{ ...config, platform: { os: 'linux', architecture: 'amd64', variant: 'v8' } }] }),
  JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    config: { Cmd: ['a'], Entrypoint: ['b'], Env: ['A=1'], User: '1:2', WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [digest] },
  }),
];

/** Manifest, index and configuration of an image. */
export function fuzz(input: Buffer): void {
  readOrRefuse(() => decodeManifest(input, 'an image'), BuilderError);
  readOrRefuse(() => decodeJson(input, indexSchema, 'an index'), BuilderError);
  readOrRefuse(() => decodeImageConfig(input, 'an image'), BuilderError);
}
