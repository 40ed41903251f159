import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readEif } from '@enclaver/eif';
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
