import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Nsm } from '@enclaver/attestation/nsm';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { describeError } from '../odyn-error.ts';
import { ApiError, type ApiFailure, failureOf } from './api-error.ts';
import { checkCaller } from './callers.ts';
import { type Answer, json, send } from './exchange.ts';
import { answerCall } from './routes.ts';

export interface ApiOptions {
  /** TCP port on 127.0.0.1. */
  readonly port: number;
  readonly nsm: Nsm;
  readonly log: OdynLog;
}

/**
 * The attestation API (docs/api.md): what the NSM can do, for the app, as HTTP on the enclave's loopback. Every request gets an
 * answer; one that fails gets a JSON object with `code`, `message` and `remedy`.
 */
export class Api {
  readonly #nsm: Nsm;
  readonly #log: OdynLog;
  readonly #server: Server;

  private constructor({ nsm, log }: ApiOptions) {
    this.#nsm = nsm;
    this.#log = log;
    this.#server = createServer({
      maxHeaderSize: limits.apiHeaderBytes,
      headersTimeout: limits.apiRequestMs,
      requestTimeout: limits.apiRequestMs,
      keepAliveTimeout: limits.apiKeepAliveMs,
      connectionsCheckingInterval: 1_000,
      noDelay: true,
    });
    // A client may say that it has asked all (shutdown) and wait: Node would drop what it waits for
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#server.maxConnections = limits.apiConnections;
    this.#server.on('request', (request, response) => void this.#serve(request, response));
    this.#server.on('clientError', (error, socket) => refuse(error, socket));
  }

  /** Settled when it listens. Rejects when the port is taken. */
  static async open(options: ApiOptions): Promise<Api> {
    const api = new Api(options);
    api.#server.listen(options.port, '127.0.0.1');
    await once(api.#server, 'listening');
    return api;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      checkCaller(request);
      answer = await answerCall(this.#nsm, request);
    } catch (error) {
      // Nobody is left to be answered
      if (request.errored !== null) return;
      const failure = failureOf(error);
      if (failure.status >= 500) this.#log.warn('attestation API failed', { error: describeError(error) });
      answer = answerOf(failure);
    }
    send(request, response, answer);
  }
}

function answerOf(failure: ApiFailure): Answer {
  const { status, code, message, remedy } = failure;
  const allow = failure instanceof ApiError ? failure.allow : undefined;
  return {
    ...json({ code, message, remedy }, status),
    ...(allow === undefined ? {} : { headers: { Allow: allow.join(', ') } }),
  };
}

/** What Node's parser refuses has no request that could be answered. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', `the head has more than ${limits.apiHeaderBytes} bytes`]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', `the request was not whole within ${limits.apiRequestMs} ms`]
        : ['400 Bad Request', 'this is not HTTP/1.1'];
  const body = `${JSON.stringify({ code: 'API_REQUEST', message: reason, remedy: 'docs/api.md has examples' })}\n`;
  const head = ['Content-Type: application/json', `Content-Length: ${body.length}`, 'Connection: close'];
  socket.end(`HTTP/1.1 ${status}\r\n${head.join('\r\n')}\r\n\r\n${body}`);
}
