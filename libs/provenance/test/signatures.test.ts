import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  checkImageSignature,
  type Envelope,
  openEnvelope,
  PCRS_TYPE,
  parseEnvelope,
  preAuthEncoding,
  publicKey,
  signedMeasurements,
} from '@enclaver/provenance';
import fc from 'fast-check';

const TYPE = 'application/vnd.in-toto+json';
const code = (name: string) => ({ name: 'ProvenanceError', code: name });

function keyPair(namedCurve = 'P-256'): { privateKey: KeyObject; key: KeyObject; pem: string } {
  const { privateKey, publicKey: half } = generateKeyPairSync('ec', { namedCurve });
  const pem = half.export({ type: 'spki', format: 'pem' }).toString();
  return { privateKey, key: publicKey(pem), pem };
}

function envelopeOf(value: unknown, by: readonly KeyObject[], payloadType = TYPE): Envelope {
  const payload = Buffer.from(JSON.stringify(value));
  const signatures = by.map((key) => ({
    keyid: '',
    sig: sign('sha256', preAuthEncoding(payloadType, payload), key).toString('base64'),
  }));
  return { payloadType, payload: payload.toString('base64'), signatures };
}

const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const subject = [{ name: 'application.eif', digest: { sha256: 'ab'.repeat(32) } }];
const measurements = { PCR0: '0a'.repeat(48), PCR1: '1b'.repeat(48), PCR2: '2c'.repeat(48) };
const statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject,
  predicateType: PCRS_TYPE,
  predicate: { Measurements: measurements },
};

describe('signatures of images', () => {
  const vector = JSON.parse(readFileSync(new URL('vectors/cosign.json', import.meta.url), 'utf8'));
  const key = publicKey(vector.public_key_pem);
  const payload = Buffer.from(vector.payload_utf8);
  const signature: string = vector.signature_b64;
  const digest: string = vector.image_digest;
  const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

  it('holds for the vector', () => checkImageSignature({ payload, signature }, key, digest));

  it('has the digests, tags and layer of the vector', () => {
    assert.equal(sha256(vector.image_manifest_bytes_utf8), digest);
    assert.equal(vector.referrers_fallback_tag, digest.replace(':', '-'));
    assert.equal(vector.signature_tag, `${digest.replace(':', '-')}.sig`);
    assert.equal(sha256(vector.signature_manifest_utf8), vector.signature_manifest_digest);
    const [layer] = JSON.parse(vector.signature_manifest_utf8).layers;
    assert.deepEqual([layer.digest, layer.size], [sha256(vector.payload_utf8), payload.length]);
    assert.equal(layer.annotations['dev.cosignproject.cosign/signature'], signature);
  });

  it('fails after any change of one byte of the payload', () => {
    fc.assert(
      fc.property(fc.nat(payload.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(payload);
        changed.writeUInt8(changed.readUInt8(at) ^ change, at);
        assert.throws(
          () => checkImageSignature({ payload: changed, signature }, key, digest),
          code('SIGNATURE_INVALID'),
        );
      }),
    );
  });

  it('fails for another type, though signed', () => {
    const { privateKey, key: own } = keyPair();
    const other = Buffer.from(vector.payload_utf8.replace('cosign container image signature', 'another text'));
    const signed = { payload: other, signature: sign('sha256', other, privateKey).toString('base64') };
    assert.throws(() => checkImageSignature(signed, own, digest), code('SIGNATURE_INVALID'));
  });

  it('fails for another image', () => {
    const other = `sha256:${'0'.repeat(64)}`;
    assert.throws(() => checkImageSignature({ payload, signature }, key, other), code('SUBJECT_DIFFERS'));
  });

  it('fails for another key, and for what is no base64', () => {
    assert.throws(() => checkImageSignature({ payload, signature }, keyPair().key, digest), code('SIGNATURE_INVALID'));
    const broken = `${signature.slice(0, 8)}\n${signature.slice(8)}`;
    assert.throws(() => checkImageSignature({ payload, signature: broken }, key, digest), code('SIGNATURE_INVALID'));
  });
});

describe('signed statements', () => {
  const { privateKey, key } = keyPair();

  it('encodes type and payload with their lengths (DSSE, protocol.md)', () => {
    const encoded = preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world'));
    assert.equal(encoded.toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  });

  it('opens one that any of its signatures makes ours, on either curve', () => {
    const other = keyPair('P-384');
    const envelope = envelopeOf(statement, [keyPair().privateKey, other.privateKey, privateKey]);
    assert.deepEqual(openEnvelope(envelope, key), statement);
    assert.deepEqual(openEnvelope(envelope, other.key), statement);
  });

  it('opens one as large as the SBOM of a system', () => {
    const sbom = {
      ...statement,
      predicateType: 'https://cyclonedx.org/bom',
      predicate: { bom: 'x'.repeat(17_000_000) },
    };
    const envelope = parseEnvelope(bytesOf(envelopeOf(sbom, [privateKey])));
    assert.ok(openEnvelope(envelope, key).predicateType === sbom.predicateType);
  });

  it('refuses another key, a changed payload, and a signature of the payload alone', () => {
    const envelope = envelopeOf(statement, [privateKey]);
    assert.throws(() => openEnvelope(envelope, keyPair().key), code('SIGNATURE_INVALID'));
    const payload = bytesOf({ ...statement, subject: [] }).toString('base64');
    assert.throws(() => openEnvelope({ ...envelope, payload }, key), code('SIGNATURE_INVALID'));
    const sig = sign('sha256', bytesOf(statement), privateKey).toString('base64');
    assert.throws(() => openEnvelope({ ...envelope, signatures: [{ sig }] }, key), code('SIGNATURE_INVALID'));
  });

  it('refuses another payload type, though signed', () => {
    const envelope = envelopeOf(statement, [privateKey], 'application/json');
    assert.throws(() => openEnvelope(envelope, key), code('ENVELOPE_INVALID'));
  });

  it('refuses what is no statement, though signed', () => {
    for (const wrong of [
      {},
      { ...statement, _type: 'x' },
      { ...statement, subject: [] },
      { ...statement, predicate: [] },
    ]) {
      assert.throws(() => openEnvelope(envelopeOf(wrong, [privateKey]), key), code('STATEMENT_INVALID'));
    }
  });

  it('refuses envelopes that are not one, whatever they are', () => {
    const envelope = envelopeOf(statement, [privateKey]);
    const many = Array.from({ length: 17 }, () => envelope.signatures[0]);
    for (const wrong of [
      { ...envelope, signatures: [] },
      { ...envelope, signatures: many },
      { ...envelope, payload: '%' },
      { ...envelope, payload: 'QUJDRA' },
      { ...envelope, payload: 'QU==JDRA' },
      { ...envelope, payload: undefined },
      [envelope],
      null,
    ]) {
      assert.throws(() => parseEnvelope(bytesOf(wrong)), code('ENVELOPE_INVALID'));
    }
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          assert.throws(() => parseEnvelope(bytes), code('ENVELOPE_INVALID'));
        },
      ),
    );
  });

  it('reads PCRs from an envelope, from lines of them, and from both bundles of cosign', () => {
    const envelope = envelopeOf(statement, [privateKey]);
    const foreign = envelopeOf(statement, [keyPair().privateKey]);
    const lines = Buffer.concat([bytesOf(foreign), Buffer.from('\n'), bytesOf(envelope), Buffer.from('\n')]);
    const bundle = { mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json', dsseEnvelope: envelope };
    const old = { base64Signature: bytesOf(envelope).toString('base64'), cert: '' };
    const indented = Buffer.from(JSON.stringify(envelope, null, 2));
    for (const file of [bytesOf(envelope), indented, lines, bytesOf(bundle), bytesOf(old)]) {
      assert.deepEqual(signedMeasurements(file, key), measurements);
    }
  });

  it('takes no PCRs from another key, of another type, or that contradict each other', () => {
    const file = (...envelopes: Envelope[]): Buffer =>
      Buffer.from(envelopes.map((each) => JSON.stringify(each)).join('\n'));
    const ours = envelopeOf(statement, [privateKey]);
    const predicate = { Measurements: { ...measurements, PCR0: 'ff'.repeat(48) } };
    const contrary = envelopeOf({ ...statement, predicate }, [privateKey]);
    const unknown = envelopeOf({ ...statement, predicateType: 'https://example.com/x' }, [privateKey]);
    assert.throws(() => signedMeasurements(file(ours), keyPair().key), code('SIGNATURE_INVALID'));
    assert.throws(() => signedMeasurements(file(unknown), key), code('PCR_STATEMENT_MISSING'));
    assert.throws(() => signedMeasurements(file(ours, contrary), key), code('PCR_STATEMENT_DIFFERS'));
  });

  it('refuses registers that cannot be checked, or are not of 96 digits', () => {
    for (const wrong of [
      { ...measurements, PCR3: 'ab'.repeat(48) },
      { ...measurements, PCR0: 'AB' },
      { PCR0: measurements.PCR0 },
    ]) {
      const file = bytesOf(envelopeOf({ ...statement, predicate: { Measurements: wrong } }, [privateKey]));
      assert.throws(() => signedMeasurements(file, key), code('STATEMENT_INVALID'));
    }
  });
});

describe('public keys', () => {
  it('are one PEM block of a P-256 or P-384 key, and nothing else', () => {
    const { privateKey, pem } = keyPair();
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' });
    for (const wrong of [
      '',
      'x'.repeat(20_000),
      pem + pem,
      privateKey.export({ type: 'pkcs8', format: 'pem' }),
      keyPairPem('secp256k1'),
      keyPairPem('P-521'),
      rsa,
      pem.replace('MFkw', 'AAAA'),
    ]) {
      assert.throws(() => publicKey(wrong.toString()), code('PUBLIC_KEY_INVALID'));
    }
    publicKey(`\n${pem}\n`);
  });

  function keyPairPem(namedCurve: string): string {
    return generateKeyPairSync('ec', { namedCurve }).publicKey.export({ type: 'spki', format: 'pem' }).toString();
  }
});
