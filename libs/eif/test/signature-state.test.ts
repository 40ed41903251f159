import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { describeSignature, readEif, signatureSection, writeEif } from '../src/index.ts';
import { invalid, p384, signing, valid } from './signing.ts';
import { refusal, smallImage, tempFolder } from './support.ts';

describe('the state of a signature', () => {
  const described = async (bytes: Buffer, now: string) => {
    await using folder = await tempFolder();
    await writeFile(folder.file('image'), bytes);
    return describeSignature(await readEif(folder.file('image'), { badSignature: 'report' }), { now: new Date(now) });
  };
  const bytesOf = (name: string): Buffer => {
    const found = [...valid.cases, ...invalid.cases].find((vector) => vector.name === name);
    return Buffer.from(found?.eif_b64 ?? assert.fail(name), 'base64');
  };

  it('is none for an unsigned image', async () => {
    assert.equal(await described(bytesOf(valid.cases[0]?.name ?? ''), '2026-12-01'), undefined);
  });

  it('says who signed, how, and for how long', async () => {
    const state = await described(bytesOf('signed-p256'), '2026-12-01');
    assert.deepEqual(state, {
      verified: true,
      subject: 'C=US\nST=Test State\nL=Test Town\nO=Test Org\nCN=vector-p256',
      algorithm: 'ES256',
      notBefore: new Date('2026-01-01'),
      notAfter: new Date('2036-01-01'),
      expired: false,
    });
  });

  it('says that a certificate has ended or not begun, and that the signature itself verifies', async () => {
    const ended = await described(bytesOf('signature-certificate-expired'), '2026-12-01');
    assert.ok(ended?.verified && ended.expired);
    assert.match(ended.error ?? '', /valid from .* to 2021-01-01T00:00:00.000Z, not at 2026-12-01/);
    const early = await described(bytesOf('signed-p384'), '2025-01-01');
    assert.ok(early?.verified && !early.expired && early.error !== undefined);
  });

  it('gives the error of a signature that does not verify, is malformed or is for another image, and nothing of it', async () => {
    assert.deepEqual(Object.keys((await described(bytesOf('signature-by-other-key'), '2026-12-01')) ?? {}).sort(), [
      'error',
      'verified',
    ]);
    for (const name of ['signature-by-other-key', 'signature-empty-array']) {
      assert.equal((await described(bytesOf(name), '2026-12-01'))?.verified, false);
    }
  });

  it('a signature over another PCR0 is refused on reading and on writing', async () => {
    await using folder = await tempFolder();
    const signature = await signatureSection(Buffer.alloc(48, 9), signing(p384));
    await assert.rejects(
      writeEif(folder.file('image'), smallImage({ sign: async () => signature })),
      refusal('EIF_SIGNATURE', /the signature is for PCR0 0909/),
    );
  });
});
