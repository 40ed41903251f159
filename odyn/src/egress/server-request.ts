import type { IncomingMessage } from 'node:http';
import { endToEnd, type RequestHead } from '@enclaver/http-forward';
import type { VsockStream } from '@enclaver/vsock';
import { type Gate, Refusal } from './gate.ts';
import type { ForwardTarget } from './request-target.ts';

/** A new connection to the destination. @throws Refusal */
export async function openStream(gate: Gate, target: ForwardTarget, signal: AbortSignal): Promise<VsockStream> {
  const { stream, head } = await gate.open(target.destination, signal);
  if (head.length === 0) return stream;
  stream.destroy();
  throw new Refusal(502, 'the server spoke before it was asked');
}

/** The request as the server gets it. `framing` comes of `framingOf`: what it finds is answered before the target's faults. */
export function headFor(request: IncomingMessage, target: ForwardTarget, framing: readonly string[]): RequestHead {
  // Expect: Node's server has answered it. Content-Length stays with the other headers.
  const passed = endToEnd(request.rawHeaders, ['host', 'expect']);
  return {
    method: request.method ?? 'GET',
    path: target.path,
    headers: ['Host', target.hostHeader, ...passed],
    framing,
  };
}
