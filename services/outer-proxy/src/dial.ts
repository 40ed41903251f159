import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { connect, isIP, type LookupFunction, type Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { type Destination, DestinationError, parseDestination } from '@enclaver/egress-policy';
import { parseIpAddress } from '@enclaver/manifest';
import type { EgressReply, EgressRequest } from '@enclaver/wire';
import { limits } from './limits.ts';
import { ParentPolicy } from './parent-policy.ts';

/** The keyword by which an enclave reaches its parent; compared without case, as the original does. */
const HOST_KEYWORD = 'host';
const PARENT_ADDRESS = '127.0.0.1';

/** What the enclave is told in place of a connection. */
export interface NotDialled {
  error: EgressReply;
}

export type Dialled = { socket: Socket; address: string } | NotDialled;

export interface DialOptions {
  /** Ends the dialling; it has nothing to do with the connection after that. */
  signal: AbortSignal;
  /** How names are looked up, until the signal of this dial, which ends with it; by default as Node does. */
  lookup?: ((ended: AbortSignal) => LookupFunction) | undefined;
  /** What the parent refuses; by default nothing. */
  policy?: ParentPolicy | undefined;
}

/**
 * The address that is asked for without a name, which the relay can dial by itself. Undefined for names, and for addresses with a
 * zone. Only with `policy` can it be one that may not be reached.
 */
export function literalOf(
  { host, port }: EgressRequest,
  policy?: ParentPolicy,
): { address: string } | NotDialled | undefined {
  const target = targetOf(host);
  if (isIP(target) === 0 || target.includes('%')) return undefined;
  const refused = policy && refusalOf(policy, host, port).message;
  return refused === undefined ? { address: target } : refusal(failure('EACCES', refused));
}

/** Of an address that the relay could not reach. */
export function notReached(address: string, port: number, errno: number): NotDialled {
  const code = getSystemErrorName(-errno);
  if (code === 'ETIMEDOUT') return refusal(failure(code, noAnswer));
  return refusal(failure(code, `connect ${code} ${address}:${port}`));
}

const noAnswer = `no connection within ${limits.egressConnectMs} ms`;

/** Brackets belong to a URL's IPv6 literal, not to the address (fault B-11). */
function targetOf(host: string): string {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  return bare.toLowerCase() === HOST_KEYWORD ? PARENT_ADDRESS : bare;
}

/**
 * Looks the name up and connects, all its addresses tried. What may be reached is decided inside, where the rules are
 * measured; `policy` is the parent's own. A failure is the reply that the enclave gets: errno, or 0 where there is none (names).
 */
export async function dial({ host, port }: EgressRequest, options: DialOptions): Promise<Dialled> {
  const { signal, policy } = options;
  const target = targetOf(host);
  const refused = policy && refusalOf(policy, host, port);
  if (refused?.message !== undefined) return refusal(failure('EACCES', refused.message));
  const ended = new AbortController();
  const asked = options.lookup?.(ended.signal);
  const lookup = policy && refused?.destination ? allowed(policy, refused.destination, asked) : asked;
  const socket = connect({ host: target, port, noDelay: true, ...(lookup ? { lookup } : {}) });
  return await new Promise<Dialled>((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      // A name that still waits to be looked up would be looked up for nobody
      ended.abort();
    };
    const onAbort = () => fail(failure('ECANCELED', 'the enclave has ended'));
    const fail = (error: NodeJS.ErrnoException) => {
      settle();
      socket.destroy();
      resolve(refusal(error));
    };
    const timer = setTimeout(() => {
      fail(failure('ETIMEDOUT', noAnswer));
    }, limits.egressConnectMs);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    socket.once('error', fail);
    socket.once('connect', () => {
      settle();
      socket.off('error', fail);
      // A zone means nothing to another machine
      resolve({ socket, address: (socket.remoteAddress ?? target).replace(/%.*$/, '') });
    });
  });
}

function refusalOf(policy: ParentPolicy, host: string, port: number): { destination?: Destination; message?: string } {
  try {
    const destination = parseDestination(host, port);
    const decision = policy.decide(destination);
    return decision.allowed ? { destination } : { message: ParentPolicy.refusal(destination, decision) };
  } catch (error) {
    if (!(error instanceof DestinationError)) throw error;
    return { message: error.message };
  }
}

/** Leaves out the addresses that the policy does not let a name lead to, so that none of them is dialled. */
function allowed(
  policy: ParentPolicy,
  destination: Destination,
  lookup: LookupFunction = systemLookup as LookupFunction,
): LookupFunction {
  return (host, options, callback) => {
    const tell = callback as (error: NodeJS.ErrnoException | null, found?: LookupAddress[]) => void;
    lookup(host, options, (error, found) => {
      if (error !== null || !Array.isArray(found)) {
        tell(error);
        return;
      }
      const decisions = found.map(({ address }) => {
        const parsed = parseIpAddress(address.replace(/%.*$/, ''));
        return parsed && policy.decideAddress(destination, parsed);
      });
      const left = found.filter((_, index) => decisions[index]?.allowed === true);
      const denied = decisions.find((decision) => decision?.allowed === false);
      if (left.length === 0 && denied !== undefined) {
        tell(failure('EACCES', ParentPolicy.refusal(destination, denied)));
      } else tell(null, left);
    });
  };
}

function failure(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code });
}

function refusal(error: NodeJS.ErrnoException): NotDialled {
  return { error: { Err: { os_code: errnoOf(error), message: messageOf(error) } } };
}

function errnoOf(error: NodeJS.ErrnoException): number {
  const numbers: Record<string, number> = constants.errno;
  return numbers[firstError(error).code ?? ''] ?? 0;
}

function messageOf(error: NodeJS.ErrnoException): string {
  return firstError(error).message.slice(0, limits.messageLength);
}

/** When a name has several addresses and none answers, Node gives one error per address: the first says enough. */
function firstError(error: NodeJS.ErrnoException): NodeJS.ErrnoException {
  return error instanceof AggregateError ? (error.errors[0] ?? error) : error;
}
