import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import type { VsockStream } from '@enclaver/vsock';
import { answer, refusalOf } from './answers.ts';
import { authorityOf } from './destination.ts';
import { framingOf, hasBody, isDoubtful } from './framing.ts';
import { type Gate, Refusal } from './gate.ts';
import { type ForwardTarget, forwardTarget } from './request-target.ts';
import type { ServerConnections } from './server-connections.ts';
import { answerOf, openStream, reply, requestOver } from './server-request.ts';

/** What may be sent again when a kept connection turns out to be closed (RFC 9110, section 9.2.2). */
const REPEATABLE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Carries out requests in absolute form, on connections that are kept for the next one. */
export class Forwarder {
  readonly #gate: Gate;
  readonly #connections: ServerConnections;

  constructor(gate: Gate, connections: ServerConnections) {
    this.#gate = gate;
    this.#connections = connections;
  }

  async forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Node has read it out of the same bytes before the connection was closed
    if (isDoubtful(request)) return;
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    try {
      const framing = framingOf(request);
      const target = forwardTarget(request.method ?? '', request.url ?? '');
      const answered =
        (await this.#askAgain(request, target, gone.signal)) ??
        (await this.#ask(await openStream(this.#gate, target, gone.signal), request, target, framing, gone.signal));
      reply(answered, response);
    } catch (error) {
      const { status, text } = refusalOf(error);
      if (isDoubtful(request)) response.shouldKeepAlive = false;
      if (response.headersSent || response.destroyed) response.destroy();
      else answer(request, response, status, text);
    }
  }

  /** On a kept connection; undefined when there is none, or when it ended before an answer began. @throws Refusal 502 */
  async #askAgain(
    request: IncomingMessage,
    target: ForwardTarget,
    signal: AbortSignal,
  ): Promise<IncomingMessage | undefined> {
    if (!REPEATABLE.has(request.method ?? '') || hasBody(request)) return undefined;
    const stream = this.#connections.take(authorityOf(target.destination));
    if (stream === undefined) return undefined;
    let isSilent = true;
    const onData = (): void => {
      isSilent = false;
    };
    stream.once('data', onData);
    try {
      return await this.#ask(stream, request, target, [], signal);
    } catch (error) {
      if (isSilent && !signal.aborted) return undefined;
      throw error;
    } finally {
      stream.off('data', onData);
    }
  }

  /** @throws Refusal 502 */
  async #ask(
    stream: VsockStream,
    request: IncomingMessage,
    target: ForwardTarget,
    framing: readonly string[],
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const upstream = requestOver(stream, request, target, ['Connection', 'keep-alive', ...framing]);
    // Without an agent of its own Node would close after the answer
    upstream.shouldKeepAlive = true;
    const onGone = (): void => void upstream.destroy();
    signal.addEventListener('abort', onGone);
    if (hasBody(request)) {
      pipeline(request, upstream, (error) => {
        if (error) upstream.destroy();
      });
    } else {
      upstream.end();
    }
    const answered = await answerOf(upstream);
    // Only for a request that did not ask for it: Node gives no other event then
    if (answered === undefined) throw new Refusal(502, 'the server broke off: it changed to another protocol unasked');
    this.#keep(stream, target, answered);
    return answered;
  }

  /** Node says `free` when request and answer are whole, and neither side wants the connection closed. */
  #keep(stream: VsockStream, { destination }: ForwardTarget, answered: IncomingMessage): void {
    // Before Node's own listener: what comes behind the answer was not asked for, and nobody knows what it belongs to
    const onData = (): void => {
      if (answered.complete) stream.destroy();
    };
    stream.prependListener('data', onData);
    stream.once('free', () => {
      stream.off('data', onData);
      this.#connections.give(authorityOf(destination), stream, answered.headers['keep-alive']?.toString());
    });
  }
}
