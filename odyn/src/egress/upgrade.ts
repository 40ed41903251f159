import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { answerOf, endToEnd, framingOf, rawHead, reply, requestOver, upgradeTo } from '@enclaver/http-forward';
import type { Relay } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { answerRaw, refusalOf } from './answers.ts';
import type { Gate } from './gate.ts';
import { forwardTarget } from './request-target.ts';
import { headFor, openStream } from './server-request.ts';
import { joinStreams } from './tunnel.ts';

/** Carries out a request that asks for another protocol, such as WebSocket: joins both sides when the server agrees. */
export async function forwardUpgrade(
  gate: Gate,
  relay: Relay,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const gone = new AbortController();
  const onGone = (): void => gone.abort();
  socket.once('close', onGone);
  // It may have said that it is done while it waited for its turn
  if (socket.readableEnded) {
    socket.destroy();
    return;
  }
  // Nobody takes another protocol who has said so; Node's server ends such clients, too
  socket.once('end', () => socket.destroy());
  try {
    const framing = framingOf(request);
    const target = forwardTarget(request.method ?? '', request.url ?? '');
    const stream = await openStream(gate, target, gone.signal);
    const upstream = requestOver(
      stream,
      headFor(request, target, framing),
      upgradeTo(request),
      limits.egressAnswerHeaderBytes,
    );
    gone.signal.addEventListener('abort', () => upstream.destroy());
    upstream.on('upgrade', (answered: IncomingMessage, joined: Duplex, first: Buffer) => {
      socket.off('close', onGone);
      const headers = [...endToEnd(answered.rawHeaders), ...upgradeTo(answered)];
      socket.write(rawHead('HTTP/1.1 101 Switching Protocols', headers), 'latin1');
      void joinStreams(relay, { stream: socket, head }, { stream: joined, head: first });
    });
    upstream.end();
    const answered = await answerOf(upstream);
    if (answered === undefined) return;
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    response.once('finish', () => socket.end());
    reply(answered, response, gone.signal);
  } catch (error) {
    const { status, text } = refusalOf(error);
    if (!socket.destroyed) answerRaw(socket, status, text);
  }
}
