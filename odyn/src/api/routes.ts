import type { IncomingMessage } from 'node:http';
import type { Nsm } from '@enclaver/attestation/nsm';
import { ApiError } from './api-error.ts';
import { attestByBody, attestByQuery } from './attestation.ts';
import type { Answer, Call } from './exchange.ts';
import { randomBytes } from './random.ts';
import { extendRegister, listRegisters, lockRegister, showRegister } from './registers.ts';

type Handler = (nsm: Nsm, call: Call) => Promise<Answer>;

interface Route {
  readonly path: RegExp;
  readonly methods: Readonly<Record<string, Handler>>;
}

const routes: readonly Route[] = [
  { path: /^\/v1\/attestation$/, methods: { GET: attestByQuery, POST: attestByBody } },
  { path: /^\/v1\/pcrs$/, methods: { GET: listRegisters } },
  { path: /^\/v1\/pcrs\/([^/]+)$/, methods: { GET: showRegister } },
  { path: /^\/v1\/pcrs\/([^/]+)\/extend$/, methods: { POST: extendRegister } },
  { path: /^\/v1\/pcrs\/([^/]+)\/lock$/, methods: { POST: lockRegister } },
  { path: /^\/v1\/random$/, methods: { GET: randomBytes } },
];

/** Throws API_NOT_FOUND, API_METHOD, and what the call throws. */
export function answerCall(nsm: Nsm, request: IncomingMessage): Promise<Answer> {
  const url = urlOf(request);
  const method = request.method ?? '';
  for (const { path, methods } of routes) {
    const match = path.exec(url.pathname);
    if (match === null) continue;
    const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (handler !== undefined) return handler(nsm, { request, url, param: match[1] ?? '' });
    const allow = Object.keys(methods);
    throw new ApiError(405, 'API_METHOD', `${method} is not possible for ${url.pathname}`, {
      remedy: `use ${allow.join(' or ')}`,
      allow,
    });
  }
  throw new ApiError(404, 'API_NOT_FOUND', `there is nothing at ${url.pathname}`, {
    remedy: 'docs/api.md has the paths; the first is /v1/attestation',
  });
}

function urlOf({ url = '' }: IncomingMessage): URL {
  // A target in absolute form names a host of its own, which nobody has checked
  const found = url.startsWith('/') ? URL.parse(`http://127.0.0.1${url}`) : null;
  if (found !== null) return found;
  throw new ApiError(400, 'API_REQUEST', 'the target of the request is no path', { remedy: 'ask for /v1/…' });
}
