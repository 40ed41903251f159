import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { instancePcr } from '@enclaver/eif';
import { type AttestationErrorCode, awsNitroRoot, parseDocument, verifyDocument } from '../src/index.ts';
import { codeOf, documentBytes, failureOf, readVector, realDocuments, selfSigned } from './support.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const derOf = (pem: string): Uint8Array =>
  new Uint8Array(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64'));

describe('the pinned root', () => {
  it('is the root that AWS publishes', () => {
    assert.deepEqual(awsNitroRoot, derOf(readVector('aws-nitro-enclaves-root-g1.pem')));
    assert.equal(sha256(awsNitroRoot), '641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b');
  });
});

describe('the root as a certificate', () => {
  it('says what is known of it', () => {
    const known = JSON.parse(readVector('aws-nitro-enclaves-root-g1.json')) as Record<string, string | number>;
    const { raw, subject, issuer, serialNumber, validFromDate, validToDate, publicKey } = new X509Certificate(
      awsNitroRoot,
    );
    const utc = (date: Date): string => date.toISOString().replace('.000', '');
    const names = (text: string): string => text.split('\n').reverse().join();
    assert.deepEqual(
      {
        der_bytes: raw.length,
        der_sha256: sha256(raw),
        subject: names(subject),
        issuer: names(issuer),
        serial_hex: serialNumber.toLowerCase(),
        not_before: utc(validFromDate),
        not_after: utc(validToDate),
        key: publicKey.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'EC P-384' : '',
      },
      Object.fromEntries(
        Object.entries(known).filter(([name]) => !['file', 'signature_algorithm', 'published_zip'].includes(name)),
      ),
    );
  });
});

describe('documents of real Nitro hardware', () => {
  for (const [name, expected] of realDocuments) {
    const bytes = documentBytes(expected.file);
    const debug = expected.pcrs_zero.includes(0);
    const verifyAt = (instant: string | number) =>
      verifyDocument(bytes, { at: new Date(instant), expect: { allowDebug: debug } });

    describe(name, () => {
      it('has the fields that are known', () => {
        assert.equal(bytes.length, expected.bytes);
        assert.equal(sha256(bytes), expected.sha256);
        const document = parseDocument(bytes);
        assert.equal(document.moduleId, expected.module_id);
        assert.equal(document.digest, expected.digest);
        assert.equal(document.timestamp, expected.timestamp_ms);
        assert.equal(new Date(document.timestamp).toISOString(), expected.timestamp_utc);
        assert.equal(hex(document.protectedHeader), expected.protected_hex);
        assert.equal(document.payload.length, expected.payload_bytes);
        assert.equal(document.signature.length, 96);
        const pcrs = Object.fromEntries([...document.pcrs].map(([index, value]) => [index, hex(value)]));
        const zeros = Object.fromEntries(expected.pcrs_zero.map((index) => [index, '00'.repeat(48)]));
        assert.deepEqual(pcrs, { ...expected.pcrs_nonzero, ...zeros });
        const chain = [...document.cabundle, document.certificate];
        assert.deepEqual(
          chain.map((der) => ({ sha256: sha256(der), bytes: der.length })),
          expected.chain.map((each) => ({ sha256: each.sha256, bytes: each.bytes })),
        );
        for (const [found, option] of [
          [document.publicKey, expected.public_key],
          [document.userData, expected.user_data],
          [document.nonce, expected.nonce],
        ] as const) {
          assert.equal(found?.length, option.length);
          assert.equal(found && sha256(found), option.sha256);
        }
      });

      it('verifies from the first to the last instant of its chain, and not outside', async () => {
        const first = Date.parse(expected.valid_from);
        const last = Date.parse(expected.valid_until);
        for (const instant of [first, expected.timestamp_ms, last]) {
          assert.deepEqual(await verifyAt(instant), parseDocument(bytes));
        }
        for (const instant of [first - 1000, first - 1]) {
          assert.equal(await codeOf(() => verifyAt(instant)), 'ATTESTATION_NOT_YET_VALID');
        }
        for (const instant of [last + 1, last + 1000, Date.now()]) {
          assert.equal(await codeOf(() => verifyAt(instant)), 'ATTESTATION_EXPIRED');
        }
      });

      it('does not verify with a flipped bit in header, payload or signature', async () => {
        const document = parseDocument(bytes);
        for (const part of [document.protectedHeader, document.payload, document.signature]) {
          const start = Buffer.from(bytes).indexOf(part);
          for (let tenth = 0; tenth < 10; tenth += 1) {
            const place = start + Math.floor((part.length * tenth) / 10);
            const flipped = bytes.map((byte, index) => (index === place ? byte ^ (1 << (tenth % 8)) : byte));
            await failureOf(() =>
              verifyDocument(flipped, { at: new Date(expected.timestamp_ms), expect: { allowDebug: true } }),
            );
          }
        }
      });

      it('has a PCR4 that names the instance of its module id', () => {
        const document = parseDocument(bytes);
        const instanceId = document.moduleId.replace(/-enc[0-9a-f]+$/, '');
        assert.equal(hex(document.pcrs.get(4) ?? new Uint8Array()), hex(instancePcr(instanceId)));
      });

      it('is refused in debug mode unless that is allowed', async () => {
        const plain = () => verifyDocument(bytes, { at: new Date(expected.timestamp_ms) });
        if (debug) assert.equal(await codeOf(plain), 'ATTESTATION_DEBUG');
        else await plain();
      });
    });
  }

  it('refuses one that was not made by Nitro', async () => {
    await failureOf(() => verifyDocument(selfSigned, { at: new Date('2024-04-17T18:51:46Z') }));
  });
});

interface SyntheticCase {
  name: string;
  document_b64: string;
  at: string;
  expect: 'valid' | 'invalid';
  failing_check: keyof typeof classes | null;
  public_key_hex?: string;
  user_data_hex?: string;
  nonce_hex?: string;
}

/** The codes of each class of rules. */
const classes = {
  structure: ['ATTESTATION_CBOR', 'ATTESTATION_STRUCTURE'],
  algorithm: ['ATTESTATION_ALGORITHM'],
  content: ['ATTESTATION_FIELD'],
  chain: [
    'ATTESTATION_ROOT',
    'ATTESTATION_ISSUER',
    'ATTESTATION_AUTHORITY',
    'ATTESTATION_LEAF',
    'ATTESTATION_CERTIFICATE',
    'ATTESTATION_CERTIFICATE_SIGNATURE',
  ],
  validity: ['ATTESTATION_NOT_YET_VALID', 'ATTESTATION_EXPIRED'],
  signature: ['ATTESTATION_SIGNATURE'],
} as const satisfies Record<string, readonly AttestationErrorCode[]>;

describe('synthetic documents', () => {
  const { root_pem, cases, baseline_payload } = JSON.parse(readVector('synthetic.json')) as {
    root_pem: string;
    cases: SyntheticCase[];
    baseline_payload: { module_id: string; timestamp_ms: number; pcrs: Record<string, string> };
  };
  const roots = [derOf(root_pem)];

  it('are all there', () => {
    assert.equal(cases.length, 38);
  });

  for (const each of cases) {
    it(`${each.name}: ${each.expect}`, async () => {
      const bytes = new Uint8Array(Buffer.from(each.document_b64, 'base64'));
      const verify = (trusted?: Uint8Array[]) =>
        verifyDocument(bytes, { ...(trusted && { roots: trusted }), at: new Date(each.at) });
      if (each.failing_check !== null) {
        const found = await codeOf(() => verify(roots));
        assert.ok((classes[each.failing_check] as readonly string[]).includes(found), found);
        return;
      }
      assert.equal(each.expect, 'valid');
      const document = await verify(roots);
      assert.equal(document.moduleId, baseline_payload.module_id);
      assert.equal(document.timestamp, baseline_payload.timestamp_ms);
      for (const [index, value] of Object.entries(baseline_payload.pcrs)) {
        assert.equal(hex(document.pcrs.get(Number(index)) ?? new Uint8Array()), value);
      }
      if (each.nonce_hex !== undefined) {
        assert.equal(hex(document.nonce ?? new Uint8Array()), each.nonce_hex);
        assert.equal(hex(document.userData ?? new Uint8Array()), each.user_data_hex);
        assert.equal(hex(document.publicKey ?? new Uint8Array()), each.public_key_hex);
      }
      assert.equal(await codeOf(() => verify()), 'ATTESTATION_ROOT', 'the root of AWS is another');
    });
  }
});
