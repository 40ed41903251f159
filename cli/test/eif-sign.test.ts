import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { certificatePcr, readEif, writeEif } from '@enclaver/eif';
import { KmsEmulator } from '@enclaver/kms-emulator';
import { smallImage } from '../../libs/eif/test/support.ts';

const run = promisify(execFile);
const enclaver = new URL('../bin/enclaver', import.meta.url).pathname;

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

describe('enclaver eif sign', () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);
  const sign = async (args: string[], env: Record<string, string> = {}): Promise<Ended> => {
    try {
      const ended = await run(enclaver, ['eif', 'sign', ...args], { cwd: folder, env: { ...process.env, ...env } });
      return { ...ended, code: 0 };
    } catch (error) {
      return error as Ended;
    }
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cli-sign-'));
    await writeEif(file('app.eif'), smallImage({ ramdisks: [Buffer.alloc(512, 1), Buffer.alloc(512, 2)] }));
    openssl('ecparam', '-name', 'secp384r1', '-genkey', '-noout', '-out', 'key.pem');
    openssl('req', '-new', '-x509', '-key', 'key.pem', '-days', '30', '-subj', '/CN=app', '-out', 'cert.pem');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  };
  const pair = ['--certificate', 'cert.pem', '--key', 'key.pem'];

  it('signs in place and prints the registers', async () => {
    const { PCR0 } = (await readEif(file('app.eif'))).measurements;
    const { code, stdout } = await sign(['app.eif', ...pair]);
    assert.equal(code, 0);
    const { measurements, size } = await readEif(file('app.eif'));
    assert.equal(measurements.PCR0, PCR0);
    assert.equal(measurements.PCR8, certificatePcr(await readFile(file('cert.pem'))).toString('hex'));
    const rows = Object.entries(measurements).map(([name, value]) => `${name}      ${value}`);
    assert.equal(stdout, `Signed app.eif, ${size} bytes\n\nREGISTER  VALUE\n${rows.join('\n')}\n`);
  });

  it('leaves the image alone with --to, and prints JSON as nitro-cli has it', async () => {
    const before = await readFile(file('app.eif'));
    const { code, stdout } = await sign(['app.eif', ...pair, '--to', 'signed.eif', '-o', 'json']);
    assert.equal(code, 0);
    assert.ok(before.equals(await readFile(file('app.eif'))));
    const { measurements } = await readEif(file('signed.eif'));
    assert.deepEqual(JSON.parse(stdout), { Measurements: { HashAlgorithm: 'Sha384 { ... }', ...measurements } });
  });

  it('signs with a KMS key (emulated)', async () => {
    const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'of no value' };
    await using emulator = await KmsEmulator.start({ credentials: [credentials] });
    const { arn, publicKey } = emulator.keys.create({ region: 'eu-west-1', spec: 'ECC_NIST_P256' });
    await writeFile(file('public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    const issued = ['-CA', 'cert.pem', '-CAkey', 'key.pem', '-days', '30', '-out', 'kms.pem'];
    openssl('x509', '-new', '-force_pubkey', 'public.pem', '-subj', '/CN=kms', ...issued);
    const { code, stderr } = await sign(['app.eif', '--certificate', 'kms.pem', '--key', arn], {
      AWS_ENDPOINT_URL_KMS: emulator.endpoint,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    });
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.equal((await readEif(file('app.eif'))).signature?.subject, 'CN=kms');
    assert.deepEqual(emulator.asked, ['GetPublicKey', 'Sign']);
  });

  it('takes its unfinished file away when it is interrupted', async () => {
    const large = Buffer.alloc(256 << 20, 3);
    await writeEif(file('app.eif'), smallImage({ ramdisks: [large, Buffer.alloc(512, 2)] }));
    const { size } = await stat(file('app.eif'));
    const child = spawn(enclaver, ['eif', 'sign', 'app.eif', ...pair], { cwd: folder, stdio: 'ignore' });
    const ended = once(child, 'exit');
    while (child.exitCode === null && !(await readdir(folder)).some((name) => name.endsWith('.partial')))
      await setImmediate();
    child.kill('SIGINT');
    assert.deepEqual(await ended, [109, null]);
    assert.deepEqual((await readdir(folder)).sort(), ['app.eif', 'cert.pem', 'key.pem']);
    assert.equal((await stat(file('app.eif'))).size, size);
  });

  it('says what is wrong, exits with 1 and leaves no file behind', async () => {
    openssl('ecparam', '-name', 'secp384r1', '-genkey', '-noout', '-out', 'other.pem');
    await writeFile(
      file('both.pem'),
      (await readFile(file('cert.pem'), 'utf8')) + (await readFile(file('key.pem'), 'utf8')),
    );
    await writeFile(file('cut.eif'), (await readFile(file('app.eif'))).subarray(0, -1));
    const before = (await readdir(folder)).sort();
    const original = await readFile(file('app.eif'));
    for (const [args, code] of [
      [['app.eif', '--certificate', 'cert.pem', '--key', 'other.pem'], 'SIGN_KEY_MISMATCH'],
      [['app.eif', '--certificate', 'both.pem', '--key', 'key.pem'], 'SIGN_CERTIFICATE'],
      [['app.eif', '--certificate', 'cert.pem', '--key', 'cert.pem'], 'SIGN_KEY'],
      [['app.eif', '--certificate', 'cert.pem', '--key', 'none.pem'], 'SIGN_FILE'],
      [['app.eif', '--certificate', 'cert.pem', '--key', 'arn:aws:kms:eu-west-1:111122223333:alias/a'], 'KMS_KEY_ARN'],
      [['none.eif', ...pair], 'EIF_NOT_FOUND'],
      [['cut.eif', ...pair], 'EIF_TRUNCATED'],
      [['app.eif', ...pair, '--to', 'none/signed.eif'], 'ENOENT'],
    ] as const) {
      const ended = await sign([...args]);
      assert.equal(ended.code, 1, code);
      assert.equal(ended.stdout, '');
      assert.match(ended.stderr, new RegExp(`^error\\[${code}\\]: `));
    }
    const usage = await sign(['app.eif', ...pair, '-o', 'yaml']);
    assert.equal(usage.code, 2);
    assert.deepEqual((await readdir(folder)).sort(), before);
    assert.ok(original.equals(await readFile(file('app.eif'))));
  });
});
