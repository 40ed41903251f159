import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { checkConnect } from '@enclaver/http-forward';
import { type Relay, VsockError } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { answerRaw, refusalOf } from './answers.ts';
import type { Gate } from './gate.ts';
import { connectTarget } from './request-target.ts';

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n');

/** Carries out `CONNECT host:port`; the payload goes by the relay, without JavaScript. `head` came after the request. */
export async function tunnel(
  gate: Gate,
  relay: Relay,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const gone = new AbortController();
  const onGone = (): void => gone.abort();
  socket.once('close', onGone);
  try {
    checkConnect(request);
    const { stream, head: answered } = await gate.open(connectTarget(request.url ?? ''), gone.signal);
    socket.off('close', onGone);
    // As if the destination had said it: one write, by the relay
    await joinStreams(relay, { stream: socket, head }, { stream, head: Buffer.concat([ESTABLISHED, answered]) });
  } catch (error) {
    const { status, text } = refusalOf(error);
    if (!socket.destroyed) answerRaw(socket, status, text);
  }
}

interface End {
  readonly stream: Duplex;
  readonly head: Buffer;
}

/** Joins two streams for good; ends both when that cannot be done. */
export async function joinStreams(relay: Relay, a: End, b: End): Promise<void> {
  try {
    await relay.join(a, b, { idleTimeoutMs: limits.egressIdleMs });
  } catch (error) {
    // One of the two was closed meanwhile, or the relay is being closed: there is nobody left to tell
    if (!(error instanceof VsockError)) throw error;
    a.stream.destroy();
    b.stream.destroy();
  }
}
