import { setTimeout as sleep } from 'node:timers/promises';
import type { Destination } from '@enclaver/egress-policy';
import { type IpAddress, parseIpAddress } from '@enclaver/manifest';
import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import { EGRESS_PORT, type EgressReply, EgressReplyDecoder, encodeEgress, WireError } from '@enclaver/wire';
import { limits } from '../limits.ts';

/** A connection that the parent has made. */
export interface Dialled {
  readonly stream: VsockStream;
  /** What the parent says it has dialled. */
  readonly address: IpAddress;
  /** Bytes that the destination has sent already. */
  readonly head: Buffer;
}

/** The destination cannot be reached. `errno` is the positive number of the system's error, 0 when there is none. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly code = 'DIAL_FAILED';
  readonly errno: number;

  constructor(errno: number, message: string, options?: ErrorOptions) {
    super(message.slice(0, limits.egressErrorText), options);
    this.errno = errno;
  }
}

const ETIMEDOUT = 110;
const EPROTO = 71;

/** Nobody answered for the parent, not even with a failure. */
class ParentGone extends DialError {}

/**
 * Has the parent dial a destination (`libs/wire`, egress.ts). A parent that does not report the address it has dialled
 * is refused: nobody could tell where a name led. The parent's proxy may be replaced while the enclave runs, and nobody
 * listens for a moment then: the app need not notice.
 * @throws DialError
 */
export async function dial(transport: VsockTransport, to: Destination, signal: AbortSignal): Promise<Dialled> {
  const until = performance.now() + limits.egressConnectMs;
  for (let pauseMs: number = limits.egressRetryMs; ; pauseMs = Math.min(2 * pauseMs, limits.egressPauseMs)) {
    try {
      return await attempt(transport, to, signal);
    } catch (error) {
      if (!(error instanceof ParentGone) || signal.aborted || performance.now() + pauseMs > until) throw error;
    }
    await sleep(pauseMs);
  }
}

async function attempt(transport: VsockTransport, { host, port }: Destination, signal: AbortSignal): Promise<Dialled> {
  let stream: VsockStream;
  try {
    stream = await transport.connect(EGRESS_PORT, { timeoutMs: limits.egressAttemptMs, signal });
  } catch (cause) {
    if (!(cause instanceof VsockError)) throw cause;
    const message = `the parent takes no egress connection: ${cause.message}`;
    // vhost-device-vsock leaves a connection unanswered where AF_VSOCK refuses it
    const Kind = cause.code === 'CONNECT_REFUSED' || cause.code === 'CONNECT_TIMEOUT' ? ParentGone : DialError;
    throw new Kind(cause.errno ?? 0, message, { cause });
  }
  try {
    stream.write(encodeEgress({ host, port, report: true }));
    const { message, rest } = await readReply(stream, signal);
    return { stream, address: addressOf(message), head: rest };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

function addressOf(reply: EgressReply): IpAddress {
  if (reply === 'Ok') throw new DialError(EPROTO, 'the parent does not say which address it has dialled');
  if ('Err' in reply) throw new DialError(reply.Err.os_code, reply.Err.message);
  const address = parseIpAddress(reply.Ok.address);
  if (address === undefined) throw new DialError(EPROTO, 'the parent reports what is no address');
  return address;
}

function readReply(stream: VsockStream, signal: AbortSignal): Promise<{ message: EgressReply; rest: Buffer }> {
  const decoder = new EgressReplyDecoder();
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      try {
        const found = decoder.push(chunk);
        if (found === undefined) return;
        settle();
        stream.pause();
        resolve(found);
      } catch (cause) {
        if (!(cause instanceof WireError)) throw cause;
        fail(new DialError(EPROTO, `the parent's answer is not one we know: ${cause.message}`, { cause }));
      }
    };
    const onError = (cause: Error): void =>
      fail(new ParentGone(0, `the parent broke off: ${cause.message}`, { cause }));
    const onClose = (): void => fail(new ParentGone(EPROTO, 'the parent closed the connection without an answer'));
    const onAbort = (): void => fail(new DialError(0, 'the client went away'));
    const timer = setTimeout(
      () => fail(new DialError(ETIMEDOUT, 'the parent did not answer in time')),
      limits.egressReplyMs,
    );
    const settle = (): void => {
      clearTimeout(timer);
      stream.off('data', onData).off('end', onClose).off('close', onClose).off('error', onError);
      // Whoever takes the stream on adds a listener of its own; until then an error must not end odyn
      stream.on('error', () => stream.destroy());
      signal.removeEventListener('abort', onAbort);
    };
    stream.on('data', onData).on('end', onClose).on('close', onClose).on('error', onError);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}
