import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { openEnvelope, sealEnvelope } from '@enclaver/cms';
import type { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { holds } from '../../../test/properties/cases.ts';
import { mutationsOf, textMutationsOf } from '../../../test/properties/mutations.ts';
import { openAnswer, withRecipient } from '../../src/kms/attested-action.ts';
import { checkCaller } from '../../src/kms/caller/caller-check.ts';
import { CallerError } from '../../src/kms/caller/caller-error.ts';
import { type ReceivedRequest, receive } from '../../src/kms/caller/received-request.ts';
import { readSignature } from '../../src/kms/caller/signature.ts';
import { readObject } from '../../src/kms/json.ts';
import { signerFor } from '../../src/kms/signer.ts';

const NOW = Date.parse('2026-01-15T12:00:00Z');
const credentials = { accessKeyId: 'ENCLAVER0123456789AB', secretAccessKey: 'of no value' };
const signers = { find: async (id: string) => (id === credentials.accessKeyId ? credentials : undefined) };
const check = (request: ReceivedRequest): Promise<string> => checkCaller(request, signers, NOW);

/** A request as it goes over the wire: one character for each byte. */
interface Wire {
  method: string;
  target: string;
  headers: string[];
  body: Uint8Array;
}
const received = ({ method, target, headers, body }: Wire): ReceivedRequest => receive(method, target, headers, body);

const word = fc.stringMatching(/^[!-~]{1,12}$/);
const value = fc.oneof(word, fc.string({ unit: 'grapheme', maxLength: 20 }), fc.constant('a  b \t c'));
const query = fc.dictionary(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
  fc.array(value, { minLength: 1, maxLength: 3 }),
  {
    maxKeys: 4,
  },
);
const extra = fc.dictionary(fc.stringMatching(/^x-[a-z]{1,6}$/), value.map(headerText), { maxKeys: 3 });
const body = fc.uint8Array({ maxLength: 300 });
const place = fc.constantFrom('header', 'query');

/** What a client makes with the signer of AWS's SDK. */
const signedRequests = fc
  .record({ query, extra, body, place, method: fc.constantFrom('GET', 'POST') })
  .chain((parts) => fc.constant(sign(parts)));

async function sign(parts: {
  query: Record<string, string[]>;
  extra: Record<string, string>;
  body: Uint8Array;
  place: string;
  method: string;
}): Promise<Wire> {
  const headers = { host: '127.0.0.1:9999', 'x-amz-target': 'TrentService.Decrypt', ...parts.extra };
  const request = { protocol: 'http:', hostname: '', path: '/', method: parts.method, headers, query: parts.query };
  const signer: SignatureV4 = signerFor(credentials, 'eu-west-1');
  const options = { signingDate: new Date(NOW), unhoistableHeaders: new Set(Object.keys(headers)) };
  const signed =
    parts.place === 'header'
      ? await signer.sign({ ...request, body: parts.body }, options)
      : await signer.presign({ ...request, body: parts.body }, { ...options, expiresIn: 60 });
  const parameters = Object.entries(signed.query ?? {}).flatMap(([name, values]) =>
    [values ?? ''].flat().map((each) => `${encodeURIComponent(name)}=${encodeURIComponent(each)}`),
  );
  return {
    method: parts.method,
    target: parameters.length === 0 ? '/' : `/?${parameters.join('&')}`,
    headers: Object.entries(signed.headers).flatMap(([name, text]) => [name, bytes(text)]),
    body: parts.body,
  };
}

/** What Node gives for a header that was written as UTF-8. */
function bytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** No header can begin or end with white space, or hold a line break. */
function headerText(text: string): string {
  return text.replace(/\p{Cc}/gu, '').trim();
}

describe('signatures of callers, at random', () => {
  it('are taken as AWS’s signer makes them, in the header and in the query', async () => {
    await holds(
      fc.asyncProperty(signedRequests, async (wire) => {
        assert.equal(await check(received(await wire)), 'eu-west-1');
      }),
      200,
    );
  });

  it('fit no other request', async () => {
    const change = fc.record({ of: fc.constantFrom('target', 'header', 'body'), at: fc.nat(), seed: fc.nat() });
    const seen = { changed: 0 };
    await holds(
      fc.asyncProperty(signedRequests, change, async (made, { of, at, seed }) => {
        const wire = await made;
        const changed = { ...wire, headers: [...wire.headers] };
        const pick = (text: string): string => fc.sample(textMutationsOf(text), { numRuns: 1, seed })[0] ?? '';
        if (of === 'target') changed.target = `/${pick(wire.target).slice(1)}`;
        else if (of === 'body')
          changed.body =
            fc.sample(mutationsOf(wire.body.length === 0 ? Buffer.from('x') : wire.body), { numRuns: 1, seed })[0] ??
            wire.body;
        else
          changed.headers[(at % wire.headers.length) | 1] = pick(wire.headers[(at % wire.headers.length) | 1] || 'x');
        const [was, now] = [wire, changed].map(meaning);
        if (was === now) return;
        seen.changed++;
        await assert.rejects(async () => check(received(changed)), CallerError);
      }),
      600,
    );
    assert.ok(seen.changed > 100, JSON.stringify(seen));
  });

  it('are read or refused, whatever the bytes', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 200 }).map(bytes);
    const credential = 'Credential=ENCLAVER0123456789AB/20260115/eu-west-1/kms/aws4_request';
    const good = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host;x-amz-date, Signature=${'a'.repeat(64)}`;
    const authorization = fc.oneof(text, textMutationsOf(good), fc.constant(good));
    await holds(
      fc.property(authorization, text, fc.oneof(text, fc.constant('20260115T120000Z')), (header, target, time) => {
        try {
          const request = receive(
            'POST',
            `/?${target}`,
            ['Authorization', header, 'X-Amz-Date', time],
            Buffer.alloc(0),
          );
          const { region, accessKeyId, signature } = readSignature(request);
          assert.match(region, /^[a-z0-9-]{1,32}$/);
          assert.match(accessKeyId, /^[\w.+=@:-]{1,128}$/);
          assert.match(signature, /^[0-9a-f]{64}$/);
        } catch (error) {
          assert.ok(error instanceof CallerError, String(error));
        }
      }),
      500,
    );
  });
});

/** What a signature covers: spaces within a header and the order of parameters are nothing to it. */
function meaning({ target, headers, body }: Wire): string {
  const folded = headers.map((each, index) => {
    // The header that has the signature may be written in many ways
    const wide = headers[index - 1] === 'authorization' ? /[ \t]+/g : '';
    return index % 2 === 0
      ? each
      : each
          .trim()
          .replaceAll(/[ \t]+/g, ' ')
          .replaceAll(wide, '');
  });
  let parameters: string[] = [];
  try {
    parameters = target
      .slice(2)
      .split('&')
      .filter(Boolean)
      .map((each) => {
        const [name = '', ...rest] = each.split('=');
        return JSON.stringify([decodeURIComponent(name), decodeURIComponent(rest.join('='))]);
      });
  } catch {
    parameters = [target];
  }
  // A question mark with nothing behind it asks for the same
  return JSON.stringify([
    target.slice(0, 2).replace(/\?$/, ''),
    parameters.sort(),
    folded,
    Buffer.from(body).toString('hex'),
  ]);
}

describe('answers of KMS, rewritten', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const open = (sealed: string): Promise<Buffer> => openEnvelope(Buffer.from(sealed, 'base64'), privateKey);
  const fields = new Map([
    ['Decrypt', 'Plaintext'],
    ['DeriveSharedSecret', 'SharedSecret'],
    ['GenerateDataKey', 'Plaintext'],
    ['GenerateDataKeyPair', 'PrivateKeyPlaintext'],
    ['GenerateRandom', 'Plaintext'],
  ]);
  const action = fc.constantFrom(...fields.keys());
  const others = fc.dictionary(fc.string({ maxLength: 12 }), fc.jsonValue());

  it('have the secret in the field of the action, and all else as it was', async () => {
    await holds(
      fc.asyncProperty(action, others, fc.uint8Array({ maxLength: 4096 }), async (name, rest, secret) => {
        const CiphertextForRecipient = sealEnvelope(secret, spki).toString('base64');
        const answer = readObject(Buffer.from(JSON.stringify({ ...rest, CiphertextForRecipient }))) ?? {};
        const opened = await openAnswer(name, answer, { open });
        const { CiphertextForRecipient: _, ...expected } = answer;
        assert.deepEqual(opened, { ...expected, [fields.get(name) ?? '']: Buffer.from(secret).toString('base64') });
      }),
      100,
    );
  });

  it('are never given on when they are not sealed for us', async () => {
    await holds(
      fc.asyncProperty(action, others, fc.jsonValue(), async (name, rest, sealed) => {
        await assert.rejects(openAnswer(name, { ...rest, CiphertextForRecipient: sealed }, { open }));
      }),
      200,
    );
  });

  it('and requests have what they had, and Recipient', async () => {
    const recipient = { AttestationDocument: 'AAEC', KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const;
    await holds(
      fc.property(others, (request) => {
        const asked = withRecipient(request, recipient);
        if (request.Recipient !== undefined && request.Recipient !== null) assert.equal(asked, undefined);
        else assert.deepEqual(asked, { ...request, Recipient: recipient });
      }),
      300,
    );
  });
});
