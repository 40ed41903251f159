import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CmsError, MAX_ENVELOPE_BYTES, openEnvelope, parseEnvelope, sealEnvelope } from '../src/index.ts';
import { caseNamed, codeOf, privateKey, publicKeySpki, recipientId, spkiOf } from './support.ts';

const run = promisify(execFile);

describe('sealing', () => {
  it('gives what opening takes, at every size', async () => {
    for (const size of [0, 1, 15, 16, 17, 32, 1023, 1024, 1025, 4095, 4096]) {
      const plaintext = randomBytes(size);
      assert.deepEqual(await openEnvelope(sealEnvelope(plaintext, publicKeySpki), privateKey), plaintext);
    }
  });

  it('has the shape of an answer of KMS: the same bytes but for what is random', async () => {
    const parts = (ber: Buffer): string => {
      const { recipientId: id, encryptedKey, iv, content } = parseEnvelope(ber);
      return [id, encryptedKey, iv, content].reduce(
        (text, part) => text.replace(part.toString('hex'), `<${part.length}>`),
        ber.toString('hex'),
      );
    };
    const { ber } = caseNamed('aws-style-32-byte-key');
    assert.equal(parts(sealEnvelope(Buffer.alloc(32), publicKeySpki)), parts(ber));
    assert.equal(sealEnvelope(Buffer.alloc(4096), publicKeySpki).length, caseNamed('plaintext-4096').ber.length);
  });

  it('is opened by OpenSSL', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-cms-'));
    try {
      const keyFile = join(folder, 'key.pem');
      await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
      for (const size of [32, 4096]) {
        const plaintext = randomBytes(size);
        const file = join(folder, `${size}.ber`);
        await writeFile(file, sealEnvelope(plaintext, publicKeySpki));
        const options = ['-decrypt', '-binary', '-inform', 'DER', '-in', file, '-inkey', keyFile];
        const { stdout } = await run('openssl', ['cms', ...options], { encoding: 'buffer', timeout: 20_000 });
        assert.deepEqual(stdout, plaintext);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is for RSA-2048 in DER alone, and for what an envelope holds', async () => {
    const seal = (spki: Uint8Array) => codeOf(() => sealEnvelope(Buffer.alloc(1), spki));
    assert.equal(await seal(Buffer.alloc(0)), 'CMS_KEY_INVALID');
    assert.equal(await seal(Buffer.concat([publicKeySpki, Buffer.alloc(1)])), 'CMS_KEY_INVALID');
    assert.equal(await seal(spkiOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)), 'CMS_KEY_INVALID');
    assert.equal(await seal(spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)), 'CMS_KEY_INVALID');
    assert.throws(() => sealEnvelope(Buffer.alloc(4097), publicKeySpki), RangeError);
  });
});

describe('opening', () => {
  it('fails in one way for whatever depends on the key', async () => {
    const ber = sealEnvelope(Buffer.alloc(40), publicKeySpki);
    const { encryptedKey, content } = parseEnvelope(ber);
    const places = [ber.indexOf(encryptedKey) + 9, ber.indexOf(content) + content.length - 17];
    const failures = await Promise.all(
      places.map(async (at) => {
        const changed = Buffer.from(ber);
        changed[at] = (changed[at] ?? 0) ^ 1;
        return openEnvelope(changed, privateKey).then(
          () => assert.fail('it opened'),
          (error: CmsError) => error,
        );
      }),
    );
    for (const error of failures) {
      assert.ok(error instanceof CmsError);
      assert.equal(error.code, 'CMS_NOT_OPENED');
      assert.equal(error.cause, undefined);
      assert.equal(error.message, failures[0]?.message);
    }
  });

  it('tells an envelope for another key, from its identifier alone', async () => {
    const other = createPrivateKey(
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
    );
    const ber = sealEnvelope(Buffer.from('secret'), spkiOf(other));
    assert.deepEqual(parseEnvelope(ber).recipientId, recipientId(spkiOf(other)));
    assert.equal(await codeOf(() => openEnvelope(ber, privateKey)), 'CMS_RECIPIENT_DIFFERS');
  });

  it('reads no more, no deeper and no longer than allowed', async () => {
    const { ber } = caseNamed('aws-style-32-byte-key');
    const deep = Buffer.concat([...Array.from({ length: 3000 }, () => Buffer.from([0x30, 0x80]))]);
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.alloc(MAX_ENVELOPE_BYTES + 1, 0x30),
      deep,
      Buffer.concat([ber, Buffer.alloc(1)]),
      Buffer.from('30850000000000', 'hex'),
      Buffer.from('3084ffffffff', 'hex'),
      Buffer.from('30ff', 'hex'),
      Buffer.from('0480', 'hex'),
      Buffer.from('1f8100', 'hex'),
      Buffer.from('30020000', 'hex'),
    ]) {
      assert.equal(await codeOf(() => parseEnvelope(bytes)), 'CMS_MALFORMED');
    }
  });

  it('refuses every cut', async () => {
    const { ber } = caseNamed('aws-style-three-chunks');
    for (let size = 0; size < ber.length; size += 1) {
      assert.equal(await codeOf(() => parseEnvelope(ber.subarray(0, size))), 'CMS_MALFORMED');
    }
  });
});
