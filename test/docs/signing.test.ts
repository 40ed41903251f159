import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { certificatePcr, readEif, writeEif } from '@enclaver/eif';
import { KmsEmulator } from '@enclaver/kms-emulator';
import { smallImage } from '../../libs/eif/test/support.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'of no value' };

/** Stands in for AWS's command: the one call of the document, over AWS's own client. */
const AWS = `#!${process.execPath}
import { parseArgs } from 'node:util';
import { GetPublicKeyCommand, KMSClient } from ${JSON.stringify(import.meta.resolve('@aws-sdk/client-kms'))};
const options = { region: { type: 'string' }, 'key-id': { type: 'string' }, query: { type: 'string' }, output: { type: 'string' } };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
if (positionals.join(' ') !== 'kms get-public-key' || values.query !== 'PublicKey' || values.output !== 'text') process.exit(252);
const { PublicKey } = await new KMSClient({ region: values.region }).send(new GetPublicKeyCommand({ KeyId: values['key-id'] }));
console.log(Buffer.from(PublicKey).toString('base64'));
`;

describe('docs/signing.md', () => {
  it('its commands do what it says, one after the other', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'docs-signing-'));
    const file = (name: string): string => join(folder, name);
    try {
      await using emulator = await KmsEmulator.start({ credentials: [credentials] });
      const { arn } = emulator.keys.create({ region: 'eu-west-1', spec: 'ECC_NIST_P384' });
      await mkdir(file('bin'));
      await writeFile(file('bin/package.json'), '{ "type": "module" }');
      await writeFile(file('bin/aws'), AWS, { mode: 0o755 });
      await writeEif(file('app.eif'), smallImage());
      const before = (await readEif(file('app.eif'))).measurements;
      const env = {
        PATH: `${file('bin')}:${join(root, 'cli/bin')}:${process.env.PATH}`,
        KMS_KEY_ARN: arn,
        AWS_ENDPOINT_URL_KMS: emulator.endpoint,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      };
      const document = await readFile(join(root, 'docs/signing.md'), 'utf8');
      const blocks = [...document.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block);
      assert.equal(blocks.length, 5);
      const outputs: string[] = [];
      for (const block of blocks) {
        outputs.push((await run('bash', ['-euo', 'pipefail', '-c', block], { cwd: folder, env })).stdout);
      }
      const [signed, byKms] = [await readEif(file('signed.eif')), await readEif(file('app.eif'))];
      const PCR8 = certificatePcr(await readFile(file('cert.pem'))).toString('hex');
      assert.deepEqual(signed.measurements, { ...before, PCR8 });
      assert.equal(byKms.measurements.PCR8, certificatePcr(await readFile(file('kms-cert.pem'))).toString('hex'));
      assert.match(outputs[3] ?? '', /ES384/);
      assert.ok(outputs[4]?.includes(PCR8), 'PCR8 by OpenSSL');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
