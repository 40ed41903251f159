import { join } from 'node:path';
import { build } from 'esbuild';
import { writeOciLayout } from '../../test/images/image.ts';
import { nodeLayer } from '../../test/images/node-layer.ts';
import { tar } from '../../test/images/tar.ts';

export interface SecretImage {
  /** The secret, as KMS has encrypted it. */
  readonly ciphertext: Buffer;
  /** Certificate of the emulator, PEM. */
  readonly kmsCa: string;
  /** Where the emulated metadata service is; in earnest it is where AWS has it. */
  readonly metadataService: string;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What the Dockerfile makes, made without a container engine: an OCI layout in `folder`. The SDK is in the app's one file. */
export async function makeSecretImage(folder: string, { ciphertext, kmsCa, metadataService }: SecretImage) {
  const app = tar([
    { name: 'srv/' },
    { name: 'srv/secret/' },
    { name: 'srv/secret/app.cjs', content: await bundledApp() },
    { name: 'srv/secret/secret.bin', content: ciphertext },
    { name: 'srv/secret/kms-ca.pem', content: kmsCa },
  ]);
  const config = {
    User: '1000:1000',
    ExposedPorts: { '8443/tcp': {} },
    Env: [PATH, 'AWS_REGION=us-east-1', `AWS_EC2_METADATA_SERVICE_ENDPOINT=${metadataService}`],
    Entrypoint: ['node'],
    Cmd: ['app.cjs'],
    WorkingDir: '/srv/secret',
  };
  await writeOciLayout(folder, [{ image: { layers: [await nodeLayer(), app], config }, name: 'latest' }]);
}

/** The app with AWS's SDK, as one file. */
export async function bundledApp(): Promise<Buffer> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'app.js')],
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minify: true,
    write: false,
  });
  return Buffer.from(outputFiles[0]?.contents ?? []);
}
