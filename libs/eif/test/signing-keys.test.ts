import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type EifSigner, pemSigner, type Signing, signatureSection } from '../src/index.ts';
import { p256, p384, p521, signing } from './signing.ts';
import { refusal, tempFolder } from './support.ts';

const run = promisify(execFile);

describe('signing keys and certificates', () => {
  const PCR0 = Buffer.alloc(48, 7);
  const sec1 = (namedCurve: string): Buffer =>
    Buffer.from(generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'sec1', format: 'pem' }));

  it('takes PKCS#8 and SEC1, with the block of parameters that openssl writes before it', () => {
    assert.equal(pemSigner(Buffer.from(p521.private_key_pkcs8_pem)).algorithm, 'ES512');
    assert.equal(pemSigner(sec1('P-256')).algorithm, 'ES256');
    const parameters = '-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n';
    assert.equal(pemSigner(Buffer.concat([Buffer.from(parameters), sec1('P-384')])).algorithm, 'ES384');
  });

  it('refuses every other key, without a word of it', () => {
    const encryption = { cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const cases: [string | Buffer, RegExp][] = [
      [privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption }), /is encrypted/],
      [privateKey.export({ type: 'sec1', format: 'pem', ...encryption }), /is encrypted/],
      [generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }), /of kind ed25519/],
      [sec1('secp256k1'), /of kind secp256k1/],
      [
        generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
        /of kind rsa/,
      ],
      [privateKey.export({ type: 'pkcs8', format: 'der' }), /not in PEM form/],
      [p384.certificate_pem, /PEM block "CERTIFICATE"/],
      [p384.private_key_pkcs8_pem + p256.private_key_pkcs8_pem, /2 PEM blocks/],
      [p384.private_key_pkcs8_pem.slice(0, 100), /cannot be read/],
      [Buffer.alloc(40_000), /40000 bytes/],
      ['', /not in PEM form/],
    ];
    for (const [pem, message] of cases) {
      assert.throws(() => pemSigner(Buffer.from(pem)), refusal('SIGN_KEY', message));
    }
    const cut = p384.private_key_pkcs8_pem.replace(/.{10}\n-----END/, '\n-----END');
    assert.throws(
      () => pemSigner(Buffer.from(cut)),
      (error: Error) => {
        const shown = `${error.stack} ${JSON.stringify(error)} ${error.cause}`;
        return cut.split('\n').every((line) => line.startsWith('---') || line === '' || !shown.includes(line));
      },
    );
  });

  it('refuses a certificate that is for another key, not exactly one, or not valid now', async () => {
    const { certificatePem, signer } = signing(p384);
    const section = (changes: Partial<Signing>) => signatureSection(PCR0, signing(p384, changes));
    for (const other of [p256.certificate_pem, await otherP384()]) {
      const certificatePem = Buffer.from(other);
      const now = new X509Certificate(certificatePem).validFromDate;
      await assert.rejects(section({ certificatePem, now }), refusal('SIGN_KEY_MISMATCH'));
    }
    for (const [pem, message] of [
      [p384.private_key_pkcs8_pem, /not in PEM form/],
      [p384.certificate_pem + p384.private_key_pkcs8_pem, /2 PEM blocks/],
      [p384.certificate_pem + p256.certificate_pem, /2 PEM blocks/],
      [`${p384.certificate_pem}-----BEGIN EC PRIVATE KEY-----\ncut`, /2 PEM blocks/],
      ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /cannot be read/],
      [`${p384.certificate_pem}${' '.repeat(32_768)}`, /at most 32768/],
      [`${p384.certificate_pem}${' '.repeat(16_000)}`, /the signature section has \d+ bytes/],
    ] as const) {
      await assert.rejects(section({ certificatePem: Buffer.from(pem) }), refusal('SIGN_CERTIFICATE', message));
    }
    for (const now of ['2025-12-31T23:59:59Z', '2036-01-01T00:00:01Z', 'no date']) {
      await assert.rejects(section({ now: new Date(now) }), refusal('SIGN_CERTIFICATE_DATES'));
    }
    for (const now of ['2026-01-01T00:00:00Z', '2036-01-01T00:00:00Z']) {
      assert.ok(await section({ now: new Date(now) }));
    }
    await assert.rejects(signatureSection(Buffer.alloc(32), { certificatePem, signer }), RangeError);
  });

  it('does not ask the signer before the certificate is found good', async () => {
    let asked = 0;
    const signer: EifSigner = {
      ...signing(p384).signer,
      sign: async () => {
        asked += 1;
        return Buffer.alloc(96);
      },
    };
    await assert.rejects(signatureSection(PCR0, signing(p384, { signer, now: new Date(0) })));
    await assert.rejects(signatureSection(PCR0, signing(p256, { signer })));
    assert.equal(asked, 0);
  });
});

/** Another certificate with another key on the same curve. */
async function otherP384(): Promise<string> {
  await using folder = await tempFolder();
  const [key, certificate] = [folder.file('key'), folder.file('certificate')];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-keyout', key];
  await run('openssl', ['req', '-x509', ...newKey, '-out', certificate, '-subj', '/CN=other', '-days', '1000']);
  return readFile(certificate, 'utf8');
}
