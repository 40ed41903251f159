import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { signatureSection } from '@enclaver/eif';
import { openSigner } from '../src/index.ts';
import { makePair, refusal, tempFolder } from './support.ts';

describe('openSigner with PEM files', () => {
  for (const [curve, algorithm] of [
    ['prime256v1', 'ES256'],
    ['secp384r1', 'ES384'],
    ['secp521r1', 'ES512'],
  ] as const) {
    it(`gives what signs with a key that openssl made on ${curve}`, async () => {
      await using folder = await tempFolder();
      await makePair(folder, curve);
      const signing = await openSigner({ certificate: folder.file('cert.pem'), key: folder.file('key.pem') });
      assert.equal(signing.signer.algorithm, algorithm);
      assert.ok(signing.certificatePem.equals(await readFile(folder.file('cert.pem'))));
      assert.ok(await signatureSection(Buffer.alloc(48, 1), signing));
    });
  }

  it('refuses at once what could not sign later', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    await makePair(folder, 'secp384r1', 'other-');
    const pair = { certificate: folder.file('cert.pem'), key: folder.file('key.pem') };
    const failing: [Partial<Parameters<typeof openSigner>[0]>, string][] = [
      [{ key: folder.file('other-key.pem') }, 'SIGN_KEY_MISMATCH'],
      [{ key: folder.file('cert.pem') }, 'SIGN_KEY'],
      [{ certificate: folder.file('key.pem') }, 'SIGN_CERTIFICATE'],
      [{ now: new Date(Date.now() - 86_400_000) }, 'SIGN_CERTIFICATE_DATES'],
      [{ now: new Date(Date.now() + 366 * 86_400_000) }, 'SIGN_CERTIFICATE_DATES'],
    ];
    for (const [change, code] of failing) await assert.rejects(openSigner({ ...pair, ...change }), { code });
  });

  it('looks at the dates once more when it signs', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    const signing = await openSigner({ certificate: folder.file('cert.pem'), key: folder.file('key.pem') });
    const late = { ...signing, now: new Date(Date.now() + 366 * 86_400_000) };
    await assert.rejects(signatureSection(Buffer.alloc(48), late), { code: 'SIGN_CERTIFICATE_DATES' });
  });

  it('refuses files that are not there, no files, or too large', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    const certificate = folder.file('cert.pem');
    const key = folder.file('key.pem');
    await mkdir(folder.file('folder'));
    execFileSync('mkfifo', [folder.file('pipe')]);
    await writeFile(folder.file('large'), Buffer.alloc(100_000, '-'));
    await assert.rejects(
      openSigner({ certificate, key: folder.file('none') }),
      refusal('SIGN_FILE', /signing key .*none cannot be read: ENOENT/),
    );
    for (const name of ['folder', 'pipe']) {
      await assert.rejects(
        openSigner({ certificate, key: folder.file(name) }),
        refusal('SIGN_FILE', /not a regular file/),
      );
    }
    await assert.rejects(openSigner({ certificate: folder.file('none'), key }), refusal('SIGN_FILE', /certificate/));
    await assert.rejects(openSigner({ certificate, key: folder.file('large') }), { code: 'SIGN_KEY' });
    await assert.rejects(openSigner({ certificate: folder.file('large'), key }), { code: 'SIGN_CERTIFICATE' });
  });

  it('does not load the client of AWS for a PEM key', async () => {
    await using folder = await tempFolder();
    await makePair(folder, 'secp384r1');
    const program = `
      import { registerHooks } from 'node:module';
      registerHooks({ resolve(name, context, next) {
        if (name.startsWith('@aws-sdk/')) throw new Error('loaded ' + name);
        return next(name, context);
      } });
      const { openSigner } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)});
      const [certificate, key] = process.argv.slice(1);
      process.stdout.write((await openSigner({ certificate, key })).signer.algorithm);`;
    const run = (key: string): string =>
      execFileSync(process.execPath, ['--input-type=module', '-e', program, folder.file('cert.pem'), key], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
    assert.equal(run(folder.file('key.pem')), 'ES384');
    assert.throws(() => run('arn:aws:kms:us-east-1:111122223333:key/1'), /loaded @aws-sdk\/client-kms/);
  });
});
