import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { KmsError } from '../src/kms-error.ts';
import { canonicalRequest, type SignedRequest, signatureOf, stringToSign, verifySigV4 } from '../src/sigv4.ts';

interface Case {
  name: string;
  access_key_id: string;
  secret_access_key: string;
  session_token: string | null;
  date: string;
  region: string;
  service: string;
  method: string;
  path: string;
  query: string;
  headers_signed: Record<string, string>;
  body_text: string;
  canonical_request: string;
  string_to_sign: string;
  signature: string;
  authorization: string;
}

const { cases, suite_check: suite } = JSON.parse(
  await readFile(new URL('./vectors/sigv4.json', import.meta.url), 'utf8'),
) as { cases: Case[]; suite_check: Omit<Case, 'name'> };

const lower = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
const timeOf = (basic: string): Date =>
  new Date(basic.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
const requestOf = (vector: Omit<Case, 'name'>): SignedRequest => ({
  method: vector.method,
  url: vector.path + (vector.query === undefined || vector.query === '' ? '' : `?${vector.query}`),
  headers: { ...lower(vector.headers_signed), authorization: vector.authorization },
  body: Buffer.from(vector.body_text),
});
const verify = (vector: Case, request: SignedRequest, now = timeOf(vector.date)) =>
  verifySigV4(request, {
    service: 'kms',
    now,
    find: (accessKeyId) =>
      accessKeyId === vector.access_key_id
        ? {
            accessKeyId,
            secretAccessKey: vector.secret_access_key,
            sessionToken: vector.session_token ?? undefined,
          }
        : undefined,
  });
const refused = (type: string, message = /./) => ({ name: 'KmsError', type, message });

describe('signature version 4', () => {
  it('gives the signature of the public suite for get-vanilla', () => {
    const scope = { date: suite.date.slice(0, 8), region: suite.region, service: suite.service };
    const canonical = canonicalRequest(requestOf(suite), Object.keys(lower(suite.headers_signed)).sort());
    const text = stringToSign(canonical, suite.date, scope);
    assert.equal(signatureOf(text, 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', scope), suite.signature);
  });

  for (const vector of cases) {
    it(`takes ${vector.name}, step by step`, () => {
      const scope = { date: vector.date.slice(0, 8), region: vector.region, service: vector.service };
      const canonical = canonicalRequest(requestOf(vector), Object.keys(lower(vector.headers_signed)).sort());
      assert.equal(canonical, vector.canonical_request);
      const text = stringToSign(canonical, vector.date, scope);
      assert.equal(text, vector.string_to_sign);
      assert.equal(signatureOf(text, vector.secret_access_key, scope), vector.signature);
      const { credentials, region } = verify(vector, requestOf(vector));
      assert.equal(credentials.accessKeyId, vector.access_key_id);
      assert.equal(region, vector.region);
    });

    it(`refuses ${vector.name} with anything changed`, () => {
      const good = requestOf(vector);
      const wrong = refused('InvalidSignatureException');
      const changed: Partial<SignedRequest>[] = [
        { method: 'GET' },
        { url: '/other' },
        { url: '/?a=b' },
        { body: Buffer.from(`${vector.body_text} `) },
        ...Object.keys(lower(vector.headers_signed))
          .filter((name) => name !== 'x-amz-date' && name !== 'x-amz-security-token')
          .map((name) => ({ headers: { ...good.headers, [name]: 'other' } })),
        { headers: { ...good.headers, 'x-amz-new': 'not signed' } },
        { headers: { ...good.headers, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
        {
          headers: {
            ...good.headers,
            authorization: vector.authorization.replace(/.$/, (c) => (c === '0' ? '1' : '0')),
          },
        },
        { headers: { ...good.headers, authorization: vector.authorization.replace('host;', '') } },
        { headers: { ...good.headers, authorization: vector.authorization.replace('/kms/', '/s3/') } },
        { headers: { ...good.headers, authorization: vector.authorization.replace(/\/20\d{6}\//, '/20200101/') } },
      ];
      for (const change of changed) assert.throws(() => verify(vector, { ...good, ...change }), wrong);
    });
  }

  it('knows 5 minutes of difference between the clocks, and no more', () => {
    const [vector = assert.fail()] = cases;
    const at = (seconds: number): Date => new Date(timeOf(vector.date).getTime() + 1000 * seconds);
    for (const seconds of [-300, 300]) assert.ok(verify(vector, requestOf(vector), at(seconds)));
    assert.throws(
      () => verify(vector, requestOf(vector), at(301)),
      refused('InvalidSignatureException', /^Signature expired: 20260115T120000Z is now earlier than 20260115T120001Z/),
    );
    assert.throws(
      () => verify(vector, requestOf(vector), at(-301)),
      refused('InvalidSignatureException', /^Signature not yet current/),
    );
  });

  it('refuses strangers, wrong session tokens, and what is no signature', () => {
    const [vector = assert.fail()] = cases;
    const good = requestOf(vector);
    const headers = (changes: Record<string, string | undefined>): SignedRequest => ({
      ...good,
      headers: { ...good.headers, ...changes },
    });
    const stranger = vector.authorization.replace('AKIDEXAMPLE', 'AKIDOTHER');
    assert.throws(() => verify(vector, headers({ authorization: stranger })), refused('UnrecognizedClientException'));
    const signedToken = vector.authorization.replace('x-amz-date;', 'x-amz-date;x-amz-security-token;');
    assert.throws(
      () => verify(vector, headers({ 'x-amz-security-token': 'x', authorization: signedToken })),
      refused('UnrecognizedClientException'),
    );
    assert.throws(
      () => verify(vector, headers({ authorization: undefined })),
      refused('MissingAuthenticationTokenException'),
    );
    for (const authorization of ['', 'Bearer x', vector.authorization.slice(0, -1)]) {
      assert.throws(() => verify(vector, headers({ authorization })), refused('IncompleteSignatureException'));
    }
    assert.throws(
      () => verify(vector, headers({ 'x-amz-date': vector.date.replace('Z', '') })),
      (error) => error instanceof KmsError,
    );
  });
});
