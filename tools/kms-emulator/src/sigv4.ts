import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { KmsError } from './kms-error.ts';
import { limits } from './limits.ts';

/** Signature version 4 of AWS, from the side that checks it. */

const ALGORITHM = 'AWS4-HMAC-SHA256';

export interface SignedRequest {
  method: string;
  /** Path and query as they stand in the request line. */
  url: string;
  /** Names in lower case. */
  headers: Readonly<Record<string, string | undefined>>;
  body: Uint8Array;
}

/** `Credential=<access key>/<date>/<region>/<service>/aws4_request`. */
export interface Scope {
  date: string;
  region: string;
  service: string;
}

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
}

interface Authorization {
  accessKeyId: string;
  scope: Scope;
  signedHeaders: string[];
  signature: string;
}

/** Method, path, query, signed headers and the hash of the body, in their canonical form. */
export function canonicalRequest(request: SignedRequest, signedHeaders: readonly string[]): string {
  // The query begins at the first question mark, and has the others
  const [path = '/', ...rest] = request.url.split('?');
  const query = rest.join('?');
  const parameters = query
    .split('&')
    .filter((parameter) => parameter !== '')
    .map((parameter) => (parameter.includes('=') ? parameter : `${parameter}=`))
    .sort();
  const headers = signedHeaders.map((name) => {
    const value = (request.headers[name] ?? '').trim().replaceAll(/\s+/g, ' ');
    return `${name}:${value}\n`;
  });
  const bodyHash = sha256(request.body);
  return [request.method, path, parameters.join('&'), headers.join(''), signedHeaders.join(';'), bodyHash].join('\n');
}

export function stringToSign(canonical: string, time: string, scope: Scope): string {
  return [ALGORITHM, time, scopeText(scope), sha256(canonical)].join('\n');
}

/** The signature in lower-case hexadecimal. */
export function signatureOf(text: string, secretAccessKey: string, { date, region, service }: Scope): string {
  let key: Buffer | string = `AWS4${secretAccessKey}`;
  for (const part of [date, region, service, 'aws4_request']) key = hmac(key, part);
  return hmac(key, text).toString('hex');
}

/**
 * Whose request it is, and for which region. Throws KmsError as AWS answers: no or malformed signature, one for another
 * service, of an unknown key, too old, too new, or wrong.
 */
export function verifySigV4<Known extends Credentials>(
  request: SignedRequest,
  { service, find, now }: { service: string; find(accessKeyId: string): Known | undefined; now: Date },
): { credentials: Known; region: string } {
  const authorization = parseAuthorization(request.headers.authorization);
  const { scope, signedHeaders } = authorization;
  const time = request.headers['x-amz-date'] ?? '';
  checkScope(scope, service, time);
  checkTime(time, now);
  checkSignedHeaders(request.headers, signedHeaders);
  const credentials = find(authorization.accessKeyId);
  if (credentials === undefined || credentials.sessionToken !== request.headers['x-amz-security-token']) {
    throw new KmsError('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }
  const text = stringToSign(canonicalRequest(request, signedHeaders), time, scope);
  const expected = Buffer.from(signatureOf(text, credentials.secretAccessKey, scope));
  const found = Buffer.from(authorization.signature);
  const bodyHash = request.headers['x-amz-content-sha256'];
  const fits = bodyHash === undefined || bodyHash === sha256(request.body);
  if (!fits || found.length !== expected.length || !timingSafeEqual(found, expected)) {
    throw new KmsError(
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key ' +
        'and signing method. Consult the service documentation for details.',
    );
  }
  return { credentials, region: scope.region };
}

function parseAuthorization(header: string | undefined): Authorization {
  if (header === undefined) {
    throw new KmsError('MissingAuthenticationTokenException', 'Request is missing Authentication Token');
  }
  const match =
    /^AWS4-HMAC-SHA256 +Credential=([\w-]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, *SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  if (match === null) {
    throw new KmsError(
      'IncompleteSignatureException',
      'Authorization header requires Credential, SignedHeaders and Signature parameters.',
    );
  }
  const [, accessKeyId = '', date = '', region = '', service = '', signedHeaders = '', signature = ''] = match;
  return { accessKeyId, scope: { date, region, service }, signedHeaders: signedHeaders.split(';'), signature };
}

function checkScope(scope: Scope, service: string, time: string): void {
  if (scope.service !== service) {
    throw new KmsError(
      'InvalidSignatureException',
      `Credential should be scoped to correct service: '${service}'. It is scoped to '${scope.service}'.`,
    );
  }
  if (!time.startsWith(`${scope.date}T`)) {
    throw new KmsError(
      'InvalidSignatureException',
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${scope.date}' != '${time}'.`,
    );
  }
}

function checkTime(time: string, now: Date): void {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(time);
  if (match === null) {
    throw new KmsError('IncompleteSignatureException', `Date must be in ISO-8601 'basic format'. Got '${time}'.`);
  }
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, number, ...number[]];
  const signed = Date.UTC(year, month - 1, day, hour, minute, second);
  const age = now.getTime() - signed;
  if (age > limits.clockSkewMs) {
    const oldest = basicTime(now.getTime() - limits.clockSkewMs);
    throw new KmsError(
      'InvalidSignatureException',
      `Signature expired: ${time} is now earlier than ${oldest} (${basicTime(now.getTime())} - 5 min.)`,
    );
  }
  if (age < -limits.clockSkewMs) {
    const latest = basicTime(now.getTime() + limits.clockSkewMs);
    throw new KmsError(
      'InvalidSignatureException',
      `Signature not yet current: ${time} is still later than ${latest} (${basicTime(now.getTime())} + 5 min.)`,
    );
  }
}

/** `host` and every header of AWS that the request has must be signed, each one once and in order. */
function checkSignedHeaders(headers: SignedRequest['headers'], signed: readonly string[]): void {
  const needed = Object.keys(headers).filter((name) => name.startsWith('x-amz-'));
  const missing = ['host', ...needed].filter((name) => !signed.includes(name));
  const absent = signed.filter((name) => headers[name] === undefined);
  const isSorted = signed.every((name, index) => index === 0 || (signed[index - 1] ?? '') < name);
  if (missing.length > 0 || absent.length > 0 || !isSorted) {
    const names = [...missing, ...absent].map((name) => `'${name}'`).join(', ');
    throw new KmsError('InvalidSignatureException', `${names || 'Signed headers'} must be signed, sorted and sent.`);
  }
}

function scopeText({ date, region, service }: Scope): string {
  return `${date}/${region}/${service}/aws4_request`;
}

function basicTime(time: number): string {
  return new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: Buffer | string, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}
