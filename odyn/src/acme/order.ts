import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { limits } from '../limits.ts';
import { certificateRequest } from '../x509/request.ts';
import { AcmeError, printable, refused } from './acme-error.ts';
import { type Challenge, challengeOf } from './challenge.ts';
import { type Authorization, authorizationSchema, type Order, orderSchema } from './messages.ts';
import type { AcmeSession, Answer } from './session.ts';

const CHALLENGE_TYPE = 'tls-alpn-01';
/** RFC 8555, section 8.1: base64url, at least 128 bits. */
const TOKEN = /^[A-Za-z0-9_-]{22,512}$/;

export interface OrderOptions {
  readonly domains: readonly string[];
  /** Private key of the certificate, on P-256. */
  readonly key: KeyObject;
  /** Settles when validators can be shown these, wherever they come in. */
  show(challenges: readonly Challenge[]): Promise<void>;
  /** Ends the order. */
  readonly signal: AbortSignal;
}

/** Orders one certificate (RFC 8555, section 7.4) and gives its chain in PEM form, unchecked. Throws AcmeError; what aborting throws. */
export async function orderCertificate(session: AcmeSession, options: OrderOptions): Promise<string> {
  const { domains, key, show, signal } = options;
  const identifiers = domains.map((value) => ({ type: 'dns', value }));
  const what = `the order for ${domains.join(', ')}`;
  const created = await session.post(what, session.directory.newOrder, { identifiers }, orderSchema);
  if (created.location === undefined)
    throw new AcmeError('ACME_ANSWER', `${what}: the authority gave no address of it`);
  const orderUrl = created.location;

  const pending = await pendingChallenges(session, created.data, domains);
  if (pending.length > 0) {
    await show(pending.map(({ domain, token }) => challengeOf(domain, token, session.key)));
    for (const { domain, url } of pending) {
      signal.throwIfAborted();
      await session.post(`the validation of ${domain}`, url, {}, z.unknown());
    }
    for (const { authorization, domain } of pending) await validated(session, authorization, domain, signal);
  }

  const readOrder = () => session.get(what, orderUrl, orderSchema);
  const ready = await settled(readOrder, ({ status }) => status !== 'pending', what, signal);
  const csr = certificateRequest(key, domains).toString('base64url');
  if (ready.status === 'ready') await session.post(what, ready.finalize, { csr }, orderSchema);
  const done = await settled(readOrder, ({ status }) => status === 'valid' || status === 'invalid', what, signal);
  if (done.status === 'invalid') throw refused(what, done.error ?? { type: 'invalid' });
  if (done.certificate === undefined) throw new AcmeError('ACME_ANSWER', `${what} is valid, but has no certificate`);
  return session.chain(done.certificate);
}

interface Pending {
  readonly authorization: string;
  readonly domain: string;
  readonly token: string;
  readonly url: string;
}

/** What is still to be validated: an authority may remember names of an earlier order. */
async function pendingChallenges(session: AcmeSession, order: Order, domains: readonly string[]): Promise<Pending[]> {
  const pending: Pending[] = [];
  for (const authorization of order.authorizations) {
    const { data } = await session.get('an authorization', authorization, authorizationSchema);
    const domain = data.identifier.value.toLowerCase();
    if (!domains.includes(domain))
      throw new AcmeError('ACME_ANSWER', `the authority wants to validate ${printable(domain)}, which was not ordered`);
    if (data.status === 'valid') continue;
    const challenge = data.challenges.find(({ type }) => type === CHALLENGE_TYPE);
    if (challenge === undefined) {
      const offered = data.challenges.map(({ type }) => printable(type)).join(', ');
      throw new AcmeError(
        'ACME_REFUSED',
        `the authority does not validate ${domain} by ${CHALLENGE_TYPE}, only by ${offered}`,
      );
    }
    if (!TOKEN.test(challenge.token ?? ''))
      throw new AcmeError('ACME_ANSWER', `the challenge of ${domain} has no valid token`);
    pending.push({ authorization, domain, token: challenge.token as string, url: challenge.url });
  }
  return pending;
}

async function validated(session: AcmeSession, url: string, domain: string, signal: AbortSignal): Promise<void> {
  const what = `the validation of ${domain}`;
  const read = () => session.get(what, url, authorizationSchema);
  const end = await settled<Authorization>(read, ({ status }) => status !== 'pending', what, signal);
  if (end.status === 'valid') return;
  const problem = end.challenges.find(({ type }) => type === CHALLENGE_TYPE)?.error;
  throw refused(what, problem ?? { type: end.status });
}

/** Asks until `isOver`, at the pace that the authority wants. */
async function settled<T>(
  read: () => Promise<Answer<T>>,
  isOver: (data: T) => boolean,
  what: string,
  signal: AbortSignal,
): Promise<T> {
  const until = performance.now() + limits.acmeSettleMs;
  for (let pause: number = limits.acmePollMs; ; pause = Math.min(pause * 2, limits.acmeSlowPollMs)) {
    const { data, retryAfterMs } = await read();
    if (isOver(data)) return data;
    const wait = Math.max(retryAfterMs ?? pause, limits.acmePollMs);
    if (performance.now() + wait > until)
      throw new AcmeError('ACME_TIMEOUT', `${what} did not come to an end in ${limits.acmeSettleMs / 1000} s`);
    await sleep(wait, undefined, { signal });
  }
}
