import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { KmsEmulator } from '@enclaver/kms-emulator';
import { parseManifest } from '@enclaver/manifest';
import { CONTEXT, KMS_PORT, METADATA_PORT } from '../aws-stand-in.ts';
import { bundledApp, makeSecretImage } from '../make-image.ts';

const folder = join(import.meta.dirname, '..');
const credentials = { accessKeyId: 'AKIAEXAMPLE000000001', secretAccessKey: 'an example of no value' };

describe('examples/secret', function () {
  this.timeout(60_000);

  let work: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-secret-'));
  });

  after(() => rm(work, { recursive: true }));

  describe('the app', () => {
    let kms: KmsEmulator;
    let client: KMSClient;
    let app: ChildProcess;
    let url: string;

    before(async () => {
      kms = await KmsEmulator.start({ credentials: [credentials] });
      client = new KMSClient({ region: 'us-east-1', endpoint: kms.endpoint, credentials });
      const key = kms.keys.createSymmetric({ alias: 'alias/app' });
      const { CiphertextBlob } = await client.send(
        new EncryptCommand({ KeyId: key.arn, Plaintext: Buffer.from('open sesame'), EncryptionContext: CONTEXT }),
      );
      await writeFile(join(work, 'secret.bin'), CiphertextBlob ?? '');
      await writeFile(join(work, 'app.cjs'), await bundledApp());
      app = spawn(process.execPath, [join(work, 'app.cjs'), join(work, 'secret.bin')], {
        env: {
          AWS_ENDPOINT_URL_KMS: kms.endpoint,
          AWS_REGION: 'us-east-1',
          AWS_ACCESS_KEY_ID: credentials.accessKeyId,
          AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
          PORT: '0',
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = (await once(createInterface(app.stdout as NonNullable<ChildProcess['stdout']>), 'line')) as [
        string,
      ];
      url = `http://127.0.0.1:${/\d+/.exec(line)?.[0]}/`;
    });

    after(async () => {
      const ended = once(app, 'exit');
      app.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
      client.destroy();
      await kms[Symbol.asyncDispose]();
    });

    it('gives what KMS has decrypted, by the endpoint of the environment', async () => {
      const answer = await fetch(url);
      assert.deepEqual([answer.status, await answer.text()], [200, 'open sesame\n']);
      assert.equal(kms.asked.at(-1), 'Decrypt');
    });

    it('passes on what KMS refuses', async () => {
      await writeFile(join(work, 'secret.bin'), 'not what KMS has encrypted');
      const answer = await fetch(url);
      assert.equal(answer.status, 403);
      assert.match(await answer.text(), /^InvalidCiphertextException/);
    });

    it('cannot be given the secret under another context', async () => {
      const key = kms.keys.createSymmetric();
      const { CiphertextBlob } = await client.send(
        new EncryptCommand({ KeyId: key.arn, Plaintext: Buffer.from('x'), EncryptionContext: { purpose: 'other' } }),
      );
      await assert.rejects(client.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: CONTEXT })), {
        name: 'InvalidCiphertextException',
      });
    });
  });

  it('names the ports of the emulator in its manifest, and gives the app no way out', async () => {
    const manifest = parseManifest(await readFile(join(folder, 'enclaver.yaml')), { file: 'enclaver.yaml' });
    assert.equal(manifest.kmsProxy?.endpoints['us-east-1'], `host:${KMS_PORT}`);
    assert.equal(manifest.egress, undefined);
    assert.deepEqual(
      manifest.ingress[0]?.tls?.certificates.map(({ source }) => source),
      ['attested'],
    );
  });

  it('makes the same image from the same secret', async () => {
    const secret = {
      ciphertext: Buffer.from('ciphertext'),
      kmsCa: 'a certificate\n',
      metadataService: `http://host:${METADATA_PORT}`,
    };
    await makeSecretImage(join(work, 'a'), secret);
    await makeSecretImage(join(work, 'b'), secret);
    const names = await readdir(join(work, 'a/blobs/sha256'));
    assert.deepEqual(names, await readdir(join(work, 'b/blobs/sha256')));
    assert.equal(names.length, 4);
  });
});
