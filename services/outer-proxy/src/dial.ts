import { connect, type Socket } from 'node:net';
import { constants } from 'node:os';
import type { EgressReply, EgressRequest } from '@enclaver/wire';
import { limits } from './limits.ts';

/** The keyword by which an enclave reaches its parent; compared without case, as the original does. */
const HOST_KEYWORD = 'host';
const PARENT_ADDRESS = '127.0.0.1';

export type Dialled = { socket: Socket; address: string } | { error: EgressReply };

/**
 * Looks the name up and connects, all its addresses tried. No policy here: what may be reached is decided inside, where
 * the rules are measured. A failure is the reply that the enclave gets: errno, or 0 where there is none (names). `signal`
 * ends the dialling; it has nothing to do with the connection after that.
 */
export async function dial({ host, port }: EgressRequest, signal: AbortSignal): Promise<Dialled> {
  // Brackets belong to a URL's IPv6 literal, not to the address (fault B-11)
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  const target = bare.toLowerCase() === HOST_KEYWORD ? PARENT_ADDRESS : bare;
  const socket = connect({ host: target, port, noDelay: true });
  return await new Promise<Dialled>((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = () => fail(Object.assign(new Error('the enclave has ended'), { code: 'ECANCELED' }));
    const fail = (error: NodeJS.ErrnoException) => {
      settle();
      socket.destroy();
      resolve({ error: { Err: { os_code: errnoOf(error), message: messageOf(error) } } });
    };
    const timer = setTimeout(() => {
      fail(Object.assign(new Error(`no connection within ${limits.egressConnectMs} ms`), { code: 'ETIMEDOUT' }));
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
