import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { GetPublicKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { certificatePcr, readEif } from '@enclaver/eif';
import { KmsEmulator } from '@enclaver/kms-emulator';
import { Bench, manifest } from './support.ts';

describe('builder: signature', () => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await Bench.create();
    await bench.writeImage([{ name: 'app', content: 'x' }]);
    makeCertificate('key.pem', 'cert.pem');
  });

  afterEach(() => bench[Symbol.asyncDispose]());

  function makeCertificate(key: string, certificate: string): void {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes'];
    const files = ['-keyout', bench.file(key), '-out', bench.file(certificate)];
    execFileSync('openssl', ['req', '-x509', ...curve, ...files, '-days', '2', '-subj', '/CN=test'], {
      stdio: 'ignore',
    });
  }

  const signed = (key = 'key.pem', certificate = 'cert.pem'): string =>
    manifest('oci:./image', `signature:\n  certificate: ${certificate}\n  key: ./${key}\n`);

  it('signs what it builds with the files that the manifest names, from its own folder', async () => {
    const built = await bench.build({ manifest: signed() });
    const eif = await readEif(bench.file('app.eif'));
    assert.ok(eif.sections.some(({ type }) => type === 'signature'));
    assert.deepEqual(eif.measurements, built.measurements);
    assert.match(built.measurements.PCR8 ?? '', /^[0-9a-f]{96}$/);
  });

  it('signs with a key in KMS that the manifest names by its ARN', async () => {
    const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'an example of no value' };
    await using kms = await KmsEmulator.start({ credentials: [credentials] });
    const { arn } = kms.keys.create({ spec: 'ECC_NIST_P384' });
    const settings: Record<string, string> = {
      AWS_ENDPOINT_URL_KMS: kms.endpoint,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    };
    const saved = Object.keys(settings).map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, settings);
    try {
      const [, , , region] = arn.split(':');
      const client = new KMSClient({ ...(region === undefined ? {} : { region }) });
      const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId: arn }));
      const key = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' });
      await writeFile(bench.file('kms.pub'), key.export({ format: 'pem', type: 'spki' }));
      const by = ['-CA', bench.file('cert.pem'), '-CAkey', bench.file('key.pem'), '-days', '2'];
      const of = ['-force_pubkey', bench.file('kms.pub'), '-subj', '/CN=kms', '-out', bench.file('kms.pem')];
      execFileSync('openssl', ['x509', '-new', ...of, ...by], { stdio: 'ignore' });
      const text = manifest('oci:./image', `signature:\n  certificate: kms.pem\n  key: ${arn}\n`);
      const built = await bench.build({ manifest: text });
      assert.deepEqual((await readEif(bench.file('app.eif'))).measurements, built.measurements);
      assert.equal(built.measurements.PCR8, certificatePcr(await readFile(bench.file('kms.pem'))).toString('hex'));
      assert.ok(kms.asked.includes('Sign'));
    } finally {
      for (const [name, value] of saved) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  it('compares a signed build with a second one but for the signature', async () => {
    await bench.build({ manifest: signed(), check: true });
  });

  it('says before it builds that the key is another one, or not there', async () => {
    makeCertificate('other.pem', 'other-cert.pem');
    for (const [key, code] of [
      ['other.pem', 'SIGN_KEY_MISMATCH'],
      ['none.pem', 'SIGN_FILE'],
    ] as const) {
      const stages: string[] = [];
      const building = bench.build({ manifest: signed(key), onProgress: ({ stage }) => stages.push(stage) });
      await assert.rejects(building, { code });
      assert.ok(!stages.includes('flatten'));
    }
    assert.deepEqual(
      (await bench.leavings()).filter((name) => !name.endsWith('.pem')),
      [],
    );
  });
});
