import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holds } from '../../../../test/properties/cases.ts';
import { mutation } from '../../../../test/properties/mutations.ts';
import { KmsError } from '../../src/kms-error.ts';
import { type Credentials, type SignedRequest, verifySigV4 } from '../../src/sigv4.ts';
import { Botocore } from './botocore.ts';

const token = (max: number) => fc.stringMatching(/^[\w/+=-]+$/).map((text) => text.slice(0, max));
const credentials: fc.Arbitrary<Credentials> = fc.record({
  accessKeyId: fc.stringMatching(/^[A-Z0-9]{16,32}$/),
  secretAccessKey: token(40),
  sessionToken: fc.option(token(200), { nil: undefined }),
});
/** What a header may hold, white space in runs and at the ends among it. */
const value = fc
  .array(fc.constantFrom('a', 'B', '0', ' ', '  ', '\t', '/', ';', ',', '=', '"', '%41', ':'), { maxLength: 12 })
  .map((parts) => parts.join(''));
const request: fc.Arbitrary<SignedRequest> = fc
  .record({
    host: fc.constantFrom('kms.eu-west-1.amazonaws.com', 'localhost:8443', '127.0.0.1:9000'),
    target: fc.constantFrom('TrentService.Decrypt', 'TrentService.GenerateRandom'),
    url: fc.oneof({ weight: 4, arbitrary: fc.constant('/') }, fc.constantFrom('/?a=b', '/?b=2&a=%2F&a=1')),
    more: fc.dictionary(fc.stringMatching(/^(x-amz-|x-|z)[a-z0-9]{1,6}$/), value, { maxKeys: 3 }),
    body: fc.oneof(fc.json(), fc.string({ unit: 'binary' })),
  })
  .map(({ host, target, url, more, body }) => ({
    method: 'POST',
    url,
    headers: { host, 'x-amz-target': target, 'content-type': 'application/x-amz-json-1.1', ...more },
    body: Buffer.from(body),
  }));
const region = fc.constantFrom('eu-west-1', 'us-gov-west-1', 'cn-north-1');
const asked = fc.record({ request, credentials, region });

/** The instant that a request was signed at. */
function timeOf({ headers }: SignedRequest): Date {
  const basic = headers['x-amz-date'] ?? '';
  return new Date(basic.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

/** Who signed; undefined when the request is refused, as KMS refuses. */
function verdictOn(
  signed: SignedRequest,
  known: Credentials,
  now: Date,
): { accessKeyId: string; region: string } | undefined {
  try {
    const found = verifySigV4(signed, {
      service: 'kms',
      now,
      find: (id) => (id === known.accessKeyId ? known : undefined),
    });
    return { accessKeyId: found.credentials.accessKeyId, region: found.region };
  } catch (error) {
    assert.ok(error instanceof KmsError, String(error));
    assert.equal(error.status, 400);
    return undefined;
  }
}

/** What the signature covers, in the form in which it does. */
function covered({ method, url, headers, body }: SignedRequest): unknown {
  const fields = Object.entries(headers).map(([name, text = '']) => {
    const spaceless = name === 'authorization' ? text.replace(/^AWS4-HMAC-SHA256 +/, '').replaceAll(/, */g, ',') : text;
    return [name, spaceless.trim().replaceAll(/\s+/g, ' ')];
  });
  const [, path, query = ''] = /^([^?]*)\??(.*)$/.exec(url) ?? [];
  return [
    method,
    path,
    query.split('&').filter((each) => each !== ''),
    Object.fromEntries(fields),
    Buffer.from(body).toString('hex'),
  ];
}

/** A request of which one thing may be another. */
type Change = (signed: SignedRequest) => SignedRequest;

const inHeader =
  (which: number, change: (text: string) => string | undefined): Change =>
  (signed) => {
    const names = Object.keys(signed.headers);
    // The authorization as often as all others together
    const name = which % 2 === 0 ? 'authorization' : (names[which % names.length] ?? 'host');
    return { ...signed, headers: { ...signed.headers, [name]: change(signed.headers[name] ?? '') } };
  };

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.nat(), mutation)
      .map(([which, apply]) => inHeader(which, (text) => apply(Buffer.from(text, 'latin1')).toString('latin1'))),
  },
  { weight: 1, arbitrary: fc.nat().map((which) => inHeader(which, () => undefined)) },
  {
    weight: 2,
    arbitrary: mutation.map(
      (apply): Change =>
        (signed) => ({ ...signed, body: apply(Buffer.from(signed.body)) }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('GET', 'PUT', 'post').map(
      (method): Change =>
        (signed) => ({ ...signed, method }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('//', '/x', '/?', '/?a=c', '', '*?', '*?c=d', '*&').map(
      (url): Change =>
        (signed) => ({ ...signed, url: url.replace('*', signed.url) }),
    ),
  },
  {
    weight: 1,
    arbitrary: value.map(
      (now): Change =>
        (signed) => ({ ...signed, headers: { ...signed.headers, 'x-amz-new': now } }),
    ),
  },
);

describe('signature version 4, beside botocore', () => {
  let botocore: Botocore;
  before(() => {
    botocore = new Botocore();
  });
  after(() => botocore.close());

  it('takes what botocore signs, and knows who and where', async () => {
    await holds(
      fc.asyncProperty(asked, async (given) => {
        const signed = await botocore.sign(given.request, given.credentials, given.region);
        assert.deepEqual(verdictOn(signed, given.credentials, timeOf(signed)), {
          accessKeyId: given.credentials.accessKeyId,
          region: given.region,
        });
      }),
      200,
    );
  });

  it('refuses it with anything changed that is signed', async () => {
    const seen = { taken: 0, refused: 0 };
    await holds(
      fc.asyncProperty(asked, fc.array(change, { minLength: 10, maxLength: 10 }), async (given, changes) => {
        const signed = await botocore.sign(given.request, given.credentials, given.region);
        for (const apply of changes) {
          const changed = apply(signed);
          const verdict = verdictOn(changed, given.credentials, timeOf(signed));
          seen[verdict === undefined ? 'refused' : 'taken'] += 1;
          if (verdict !== undefined) assert.deepEqual(covered(changed), covered(signed));
        }
      }),
      100,
    );
    assert.ok(seen.refused > 10 * seen.taken, JSON.stringify(seen));
  });

  it('refuses another secret, another token and another day', async () => {
    const other = fc.record({
      secretAccessKey: token(40),
      sessionToken: fc.option(token(200), { nil: undefined }),
      later: fc.integer({ min: -86_400, max: 86_400 }),
    });
    await holds(
      fc.asyncProperty(asked, other, async (given, { later, ...keys }) => {
        const signed = await botocore.sign(given.request, given.credentials, given.region);
        const now = timeOf(signed);
        const known = { ...given.credentials, ...keys };
        const isSame =
          keys.secretAccessKey === given.credentials.secretAccessKey &&
          keys.sessionToken === given.credentials.sessionToken;
        assert.equal(verdictOn(signed, known, now) !== undefined, isSame);
        const then = new Date(now.getTime() + 1000 * later);
        assert.equal(verdictOn(signed, given.credentials, then) !== undefined, Math.abs(later) <= 300);
      }),
      100,
    );
  });
});
