import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { explicit, integer, octetString, oid, sequence, time } from '../src/x509/der.ts';
import { extension } from '../src/x509/extension.ts';
import { certificateRequest } from '../src/x509/request.ts';
import { pem, selfSigned } from '../src/x509/self-signed.ts';

const openssl = (args: string[], input: Uint8Array): string => execFileSync('openssl', args, { input }).toString();
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const name = fc.domain().filter((one) => one.length < 200);

describe('certificates that odyn writes', () => {
  it('are read by OpenSSL as they were meant', () => {
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 20 }), (names) => {
        const key = newKey();
        const made = new X509Certificate(
          selfSigned({ key, names, notBefore: new Date('2026-01-02T03:04:05.678Z'), notAfter: new Date('2051-01-01') }),
        );
        assert.equal(made.subjectAltName, names.map((one) => `DNS:${one}`).join(', '));
        assert.equal(made.validFromDate.toISOString(), '2026-01-02T03:04:05.000Z');
        assert.equal(made.validToDate.toISOString(), '2051-01-01T00:00:00.000Z');
        assert.ok(made.verify(made.publicKey) && made.checkPrivateKey(key) && made.checkIssued(made) && !made.ca);
      }),
      { numRuns: 50 },
    );
  });

  it('carry extensions, critical or not', () => {
    const extensions = [
      extension('1.3.6.1.5.5.7.1.31', octetString(Buffer.alloc(32, 1)), { critical: true }),
      extension('1.3.6.1.4.1.99999.1', octetString(Buffer.from('document'))),
    ];
    const content = { key: newKey(), names: ['a.example'], notBefore: new Date(), notAfter: new Date(), extensions };
    const text = openssl(['x509', '-inform', 'DER', '-noout', '-text'], selfSigned(content));
    assert.match(text, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical/);
    assert.match(text, /1\.3\.6\.1\.4\.1\.99999\.1: \n/);
    assert.equal(
      openssl(['x509', '-noout', '-subject'], Buffer.from(pem('CERTIFICATE', selfSigned(content)))).trim(),
      'subject=CN = a.example',
    );
  });

  it('requests are signed, and ask for just the names', () => {
    const request = certificateRequest(newKey(), ['a.example', '*.b.example']);
    const text = openssl(['req', '-inform', 'DER', '-noout', '-verify', '-text'], request);
    assert.match(text, /DNS:a\.example, DNS:\*\.b\.example/);
    assert.match(text, /Subject: *\n/);
  });
});

describe('DER', () => {
  it('has the shortest form of every length and number', () => {
    assert.equal(integer(Buffer.from([0, 0, 0x7f])).toString('hex'), '02017f');
    assert.equal(integer(Buffer.from([0x80])).toString('hex'), '02020080');
    assert.equal(integer(Buffer.alloc(3)).toString('hex'), '020100');
    for (const [length, header] of [
      [0x7f, '047f'],
      [0x80, '048180'],
      [0xffff, '0482ffff'],
      [0x10000, '0483010000'],
    ] as const) {
      assert.equal(octetString(Buffer.alloc(length)).toString('hex', 0, header.length / 2), header);
    }
    assert.equal(oid('1.2.840.113549.1.9.14').toString('hex'), '06092a864886f70d01090e');
    assert.equal(time(new Date('2049-12-31T23:59:59Z')).toString('latin1', 2), '491231235959Z');
    assert.equal(time(new Date('2050-01-01T00:00:00Z')).toString('latin1', 2), '20500101000000Z');
    assert.equal(explicit(3, sequence()).toString('hex'), 'a3023000');
  });
});
