import assert from 'node:assert/strict';
import { KmsError } from '../../../tools/kms-emulator/src/kms-error.ts';
import { canonicalRequest, signatureOf, stringToSign, verifySigV4 } from '../../../tools/kms-emulator/src/sigv4.ts';
import { readOrRefuse } from '../target.ts';

const date = '20260101';
const time = `${date}T000000Z`;
const scope = { date, region: 'eu-west-1', service: 'kms' };
const known = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: undefined };
const base = { host: 'kms.eu-west-1.amazonaws.com', 'x-amz-date': time };

function signed(url: string, body: string): string {
  const request = { method: 'POST', url, headers: base, body: Buffer.from(body) };
  const text = stringToSign(canonicalRequest(request, ['host', 'x-amz-date']), time, scope);
  const signature = signatureOf(text, known.secretAccessKey, scope);
  return `AWS4-HMAC-SHA256 Credential=${known.accessKeyId}/${date}/eu-west-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=${signature}`;
}

export const seeds = [`${signed('/', '{}')}\n/\n{}`, `${signed('/?b=2&a=%2F&a=1', 'x')}\n/?b=2&a=%2F&a=1\nx`];

/** Authorization, target and body, each to the end of its line: refused as KMS does, or signed by the one who is known. */
export function fuzz(input: Buffer): void {
  const [authorization = '', url = '/', ...body] = input.toString('latin1').split('\n');
  const request = {
    method: 'POST',
    url,
    headers: { ...base, authorization },
    body: Buffer.from(body.join('\n'), 'latin1'),
  };
  const now = new Date('2026-01-01T00:00:00Z');
  const find = (id: string) => (id === known.accessKeyId ? known : undefined);
  const found = readOrRefuse(() => verifySigV4(request, { service: 'kms', now, find }), KmsError);
  if (found === undefined) return;
  const names = /SignedHeaders=([^,]*)/.exec(authorization)?.[1]?.split(';') ?? [];
  const text = stringToSign(canonicalRequest(request, names), time, { ...scope, region: found.region });
  assert.ok(authorization.endsWith(signatureOf(text, known.secretAccessKey, { ...scope, region: found.region })));
}
