import type { IncomingMessage } from 'node:http';
import { ApiError } from './api-error.ts';

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d{1,5})?$/i;

/**
 * Turns away a browser that runs in the enclave and is led here by a page from outside: it names the page's host (DNS
 * rebinding), or says where the page is from. Programs do neither. Throws API_FORBIDDEN.
 */
export function checkCaller({ headers }: IncomingMessage): void {
  const { host, origin } = headers;
  if (host !== undefined && !LOOPBACK.test(host)) {
    throw forbidden(`the request is for the host ${JSON.stringify(host)}`, 'use http://127.0.0.1:PORT');
  }
  if (origin !== undefined || headers['sec-fetch-site'] !== undefined) {
    throw forbidden('the request comes from a page in a browser', 'let the application ask, not its page');
  }
}

function forbidden(message: string, remedy: string): ApiError {
  return new ApiError(403, 'API_FORBIDDEN', message, { remedy });
}
