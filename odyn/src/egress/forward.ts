import type { IncomingMessage, ServerResponse } from 'node:http';
import { authorityOf } from '@enclaver/egress-policy';
import {
  Canceller,
  exchange,
  framingOf,
  hasBody,
  isDoubtful,
  type KeptConnections,
  reply,
} from '@enclaver/http-forward';
import { limits } from '../limits.ts';
import { answer, refusalOf } from './answers.ts';
import type { Gate } from './gate.ts';
import { forwardTarget } from './request-target.ts';
import { headFor, openStream } from './server-request.ts';

/** Carries out requests in absolute form, on connections that are kept for the next one. */
export class Forwarder {
  readonly #gate: Gate;
  readonly #connections: KeptConnections;

  constructor(gate: Gate, connections: KeptConnections) {
    this.#gate = gate;
    this.#connections = connections;
  }

  async forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Node has read it out of the same bytes before the connection was closed
    if (isDoubtful(request)) return;
    const gone = new Canceller();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    try {
      const framing = framingOf(request);
      const target = forwardTarget(request.method ?? '', request.url ?? '');
      // What the policy has let through once it lets through again, since it does not change
      const destination = authorityOf(target.destination);
      const way = {
        kept: () => this.#connections.take(destination),
        open: () => openStream(this.#gate, target, gone.signal()),
        keep: (stream: Parameters<KeptConnections['give']>[1], keepAlive: string | undefined) =>
          this.#connections.give(destination, stream, keepAlive),
        maxHeaderSize: limits.egressAnswerHeaderBytes,
      };
      const asked = { body: hasBody(request) ? request : undefined };
      reply(await exchange(asked, headFor(request, target, framing), way, gone), response, gone);
    } catch (error) {
      const { status, text } = refusalOf(error);
      if (isDoubtful(request)) response.shouldKeepAlive = false;
      if (response.headersSent || response.destroyed) response.destroy();
      else answer(request, response, status, text);
    }
  }
}
