import { createHash, timingSafeEqual } from 'node:crypto';
import { limits } from '../../limits.ts';
import type { Credentials } from '../credentials/credentials.ts';
import { SERVICE, signerFor } from '../signer.ts';
import { CallerError } from './caller-error.ts';
import type { ReceivedRequest } from './received-request.ts';
import { type CallerSignature, readSignature } from './signature.ts';
import type { Signers } from './signers.ts';

/**
 * Checks that a request was signed by somebody whose requests are taken, for KMS, a short time ago, and as it came.
 * @returns the region that it is for
 * @throws CallerError
 */
export async function checkCaller(
  request: ReceivedRequest,
  signers: Pick<Signers, 'find'>,
  now: number = Date.now(),
): Promise<string> {
  const found = readSignature(request);
  if (found.service !== SERVICE) {
    throw invalid(`the signature is for the service "${found.service}"; here is KMS alone, which is "${SERVICE}"`);
  }
  checkTime(found, now);
  checkSignedHeaders(request, found);
  checkBodyHash(request);
  const credentials = await signers.find(found.accessKeyId);
  if (credentials === undefined || !isSame(credentials.sessionToken ?? '', found.sessionToken ?? '')) {
    throw new CallerError(
      'UnrecognizedClientException',
      'these credentials are none that the KMS proxy takes: sign with ENCLAVER_KMS_ACCESS_KEY_ID and ' +
        'ENCLAVER_KMS_SECRET_ACCESS_KEY, with those of the image, or with those of the instance where egress lets the app ask for them',
    );
  }
  if (!isSame(await signatureFor(request, found, credentials), found.signature)) {
    throw invalid('the signature does not fit the request and its secret key');
  }
  return found.region;
}

/** What AWS's own signer makes of the same request. */
async function signatureFor(
  { method, path, query, headers, body }: ReceivedRequest,
  { region, time, signedHeaders, expiresS }: CallerSignature,
  credentials: Credentials,
): Promise<string> {
  const signer = signerFor(credentials, region);
  const names = new Set(signedHeaders);
  const request = {
    method,
    protocol: 'http:',
    hostname: '',
    path,
    query: Object.fromEntries(Object.entries(query).map(([name, values]) => [name, [...values]])),
    headers: Object.fromEntries(signedHeaders.map((name) => [name, headers.get(name) ?? ''])),
    body,
  };
  if (expiresS === undefined) {
    const signed = await signer.sign(request, { signingDate: time, signableHeaders: names });
    return /Signature=([0-9a-f]*)$/.exec(signed.headers.authorization ?? '')?.[1] ?? '';
  }
  const options = { signingDate: time, expiresIn: expiresS, signableHeaders: names, unhoistableHeaders: names };
  const signed = await signer.presign(request, options);
  return String(signed.query?.['X-Amz-Signature'] ?? '');
}

function checkTime({ date, time, expiresS = 0 }: CallerSignature, now: number): void {
  if (date !== basic(time.getTime()).slice(0, 8)) {
    throw invalid('the date in Credential is not that of X-Amz-Date');
  }
  const age = now - time.getTime();
  const clocks = `the enclave's clock says ${basic(now)}: does the application have a clock of its own?`;
  if (age > limits.kmsSignatureMs + expiresS * 1000) {
    throw invalid(`Signature expired: ${basic(time.getTime())} is ${seconds(age)} s ago; ${clocks}`);
  }
  if (age < -limits.kmsSignatureMs) {
    throw invalid(`Signature not yet current: ${basic(time.getTime())} is ${seconds(age)} s ahead; ${clocks}`);
  }
}

/** `host` and all headers of AWS: what is not signed could have been added. */
function checkSignedHeaders({ headers }: ReceivedRequest, { signedHeaders }: CallerSignature): void {
  const needed = ['host', ...[...headers.keys()].filter((name) => name.startsWith('x-amz-'))];
  const missing = needed.filter((name) => !signedHeaders.includes(name));
  if (missing.length > 0) throw invalid(`not signed, and has to be: ${missing.join(', ')}`);
  const absent = signedHeaders.filter((name) => !headers.has(name));
  if (absent.length > 0) throw invalid(`signed, and not sent: ${absent.join(', ')}`);
}

function checkBodyHash({ headers, body }: ReceivedRequest): void {
  const claimed = headers.get('x-amz-content-sha256');
  if (claimed === undefined || claimed === createHash('sha256').update(body).digest('hex')) return;
  throw invalid('x-amz-content-sha256 is not the SHA-256 of the body; unsigned and streamed bodies are not taken');
}

/** In a time that does not depend on where they differ. */
function isSame(a: string, b: string): boolean {
  const [first, second] = [a, b].map((text) => createHash('sha256').update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(first, second);
}

function invalid(message: string): CallerError {
  return new CallerError('InvalidSignatureException', message);
}

function basic(time: number): string {
  return new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

function seconds(ms: number): number {
  return Math.round(Math.abs(ms) / 1000);
}
