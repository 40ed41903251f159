import type { IncomingMessage } from 'node:http';
import { endToEnd } from '@enclaver/http-forward';
import { limits } from '../../limits.ts';
import { CallerError } from '../caller/caller-error.ts';
import type { ReceivedRequest } from '../caller/received-request.ts';
import { SIGNATURE_PARAMETERS } from '../caller/signature.ts';
import type { KmsCall } from '../kms-sender.ts';
import { withoutParameters } from '../query.ts';

const TARGET = 'TrentService.';
/** Said anew by us or by Node for the next connection. */
const NOT_PASSED_ON = [
  'authorization',
  'content-length',
  'expect',
  'host',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
];

/** For the log and for what is to be done; whatever else the header may hold is not repeated. */
export function actionOf({ headers }: IncomingMessage): string {
  const target = String(headers['x-amz-target'] ?? '');
  const action = target.startsWith(TARGET) ? target.slice(TARGET.length) : '';
  return /^[A-Za-z]{1,64}$/.test(action) ? action : 'unknown';
}

/**
 * The request's body. One that is too large is read to its end, so that the answer arrives.
 * @throws CallerError, and what the connection failed with
 */
export function readRequest(request: IncomingMessage): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parts: Buffer[] = [];
  let size = 0;
  request.on('data', (part: Buffer) => {
    size += part.length;
    if (size <= limits.kmsRequestBytes) parts.push(part);
    else parts.length = 0;
  });
  request.once('end', () => {
    if (size <= limits.kmsRequestBytes) return resolve(Buffer.concat(parts));
    const message = `the request has ${size} bytes; at most ${limits.kmsRequestBytes} are taken`;
    reject(new CallerError('RequestEntityTooLargeException', message, 413));
  });
  request.once('error', reject);
  return promise;
}

/** The call as it is to be sent: all of the request but the caller's signature. @throws CallerError */
export function callOf(received: ReceivedRequest, region: string, rawHeaders: readonly string[]): KmsCall {
  const headers: Record<string, string> = {};
  const passed = endToEnd(rawHeaders, NOT_PASSED_ON);
  for (let i = 0; i + 1 < passed.length; i += 2) {
    const name = (passed[i] ?? '').toLowerCase();
    const value = passed[i + 1] ?? '';
    // These are signed, and AWS's signer would write other bytes than Node
    if ((name === 'content-type' || name.startsWith('x-amz-')) && !/^[\t\x20-\x7e]*$/.test(value)) {
      throw new CallerError('ValidationException', `the header ${name} is not ASCII`);
    }
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  const { method, path, rawQuery, body } = received;
  return { region, method, path, query: withoutParameters(rawQuery, SIGNATURE_PARAMETERS), headers, body };
}
