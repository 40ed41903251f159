import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { endToEnd } from '@enclaver/http-forward';
import { readBody } from '../../egress/own-http.ts';
import { limits } from '../../limits.ts';
import type { OdynLog } from '../../logs/odyn-log.ts';
import { isAttested, openAnswer, withRecipient } from '../attested-action.ts';
import { checkCaller } from '../caller/caller-check.ts';
import { CallerError } from '../caller/caller-error.ts';
import { receive } from '../caller/received-request.ts';
import type { Signers } from '../caller/signers.ts';
import type { ClockWatch } from '../clock-watch.ts';
import type { CredentialCache } from '../credentials/credential-cache.ts';
import { readObject } from '../json.ts';
import { KmsError, reasonOf } from '../kms-error.ts';
import type { KmsCall, KmsSender } from '../kms-sender.ts';
import type { Recipient } from '../recipient.ts';
import { actionOf, callOf, readRequest } from './call.ts';
import { type ErrorAnswer, respond, respondError, respondErrorRaw, unreadable } from './respond.ts';

export interface KmsProxyOptions {
  readonly port: number;
  readonly sender: KmsSender;
  readonly recipient: Recipient;
  readonly credentials: CredentialCache;
  readonly clock: ClockWatch;
  readonly signers: Signers;
  readonly log: OdynLog;
}

export interface KmsCounts {
  /** Calls whose answers were opened. */
  kmsAttested: number;
  /** Calls that were passed on as they are. */
  kmsForwarded: number;
  /** Requests of the app that were not sent on. */
  kmsRefused: number;
  /** Calls that failed on our side of KMS. */
  kmsFailed: number;
}

/**
 * KMS for the app's unmodified SDK, on the enclave's loopback. What takes an attestation document gets ours, and its
 * answer is opened; everything else is passed on. All of it is signed with the instance's credentials.
 */
export class KmsProxy {
  readonly counts: KmsCounts = { kmsAttested: 0, kmsForwarded: 0, kmsRefused: 0, kmsFailed: 0 };
  readonly #options: KmsProxyOptions;
  readonly #server: Server;

  private constructor(options: KmsProxyOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        maxHeaderSize: limits.kmsHeaderBytes,
        // Node would answer without a body; a signature needs the header anyway
        requireHostHeader: false,
        headersTimeout: limits.kmsRequestMs,
        requestTimeout: limits.kmsRequestMs,
        keepAliveTimeout: limits.kmsKeepAliveMs,
        noDelay: true,
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxConnections = limits.kmsConnections;
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (!socket.writable || error.code === 'ECONNRESET') socket.destroy();
      else respondErrorRaw(socket, unreadable(error.code));
    });
    this.#server.on('connect', (_request, socket) => {
      socket.on('error', () => socket.destroy());
      respondErrorRaw(socket, { status: 400, type: 'ValidationException', message: 'this is KMS, and no HTTP proxy' });
    });
  }

  static async open(options: KmsProxyOptions): Promise<KmsProxy> {
    const proxy = new KmsProxy(options);
    proxy.#server.listen(options.port, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    const action = actionOf(request);
    try {
      const body = await readRequest(request);
      const received = receive(request.method ?? '', request.url ?? '', request.rawHeaders, body);
      const region = await checkCaller(received, this.#options.signers);
      await this.#carryOut(action, callOf(received, region, request.rawHeaders), response, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      const answer = this.#explain(error, action);
      if (response.headersSent) response.destroy();
      else respondError(request, response, answer);
    }
  }

  /** Attested where KMS can and the caller has not done it. */
  async #carryOut(action: string, call: KmsCall, response: ServerResponse, gone: AbortSignal): Promise<void> {
    const { sender, recipient } = this.#options;
    if (!isAttested(action) || call.method !== 'POST' || call.path !== '/') {
      return this.#passOn(await sender.send(call, gone), response);
    }
    const asked = readObject(call.body);
    if (asked === undefined) throw new CallerError('SerializationException', 'the body is no JSON object');
    const request = withRecipient(asked, await recipient.field());
    if (request === undefined) return this.#passOn(await sender.send(call, gone), response);
    const { 'accept-encoding': _, ...headers } = call.headers;
    const answered = await sender.send({ ...call, headers, body: Buffer.from(JSON.stringify(request)) }, gone);
    if (answered.statusCode !== 200) return this.#passOn(answered, response);
    const answer = readObject(await readAnswer(answered));
    if (answer === undefined) throw new KmsError('KMS_ANSWER', `KMS answered ${action} with something that is no JSON`);
    const body = Buffer.from(JSON.stringify(await openAnswer(action, answer, recipient)));
    this.#options.clock.compare(answered.headers.date);
    this.counts.kmsAttested++;
    respond(response, answered, body);
  }

  /** KMS's answer as it is, but for one thing: where clocks differ, an error says so. */
  async #passOn(answered: IncomingMessage, response: ServerResponse): Promise<void> {
    const skew = this.#options.clock.compare(answered.headers.date);
    this.counts.kmsForwarded++;
    if ((answered.statusCode ?? 0) < 400) {
      response.sendDate = false;
      response.writeHead(answered.statusCode ?? 502, endToEnd(answered.rawHeaders));
      return pipeline(answered, response).catch(brokeOff);
    }
    const body = await readAnswer(answered);
    const error = readObject(body);
    const type = String(error?.__type ?? '');
    // The instance may have a new role, or our clock is wrong: what we hold is asked for again
    if (/(?:ExpiredToken|UnrecognizedClient)\w*$/.test(type)) void this.#options.credentials.renew();
    if (skew === undefined || error === undefined) return respond(response, answered, body);
    const key = Object.hasOwn(error, 'Message') ? 'Message' : 'message';
    const message = `${String(error[key] ?? '')} (Enclaver: ${skew})`;
    respond(response, answered, Buffer.from(JSON.stringify({ ...error, [key]: message })));
  }

  #explain(error: unknown, action: string): ErrorAnswer {
    const { log } = this.#options;
    if (error instanceof CallerError) {
      this.counts.kmsRefused++;
      log.warn('kms call refused', { action, type: error.type, reason: error.message });
      return error;
    }
    this.counts.kmsFailed++;
    if (error instanceof KmsError) {
      log.warn('kms call failed', { action, code: error.code, reason: error.message, remedy: error.remedy });
      const message = error.remedy === undefined ? error.message : `${error.message} (${error.remedy})`;
      return { status: error.status, type: error.type, message };
    }
    log.error('kms call failed', { action, reason: reasonOf(error) });
    return {
      status: 500,
      type: 'EnclaverInternalError',
      message: 'the KMS proxy has failed; the log of odyn says more',
    };
  }
}

/** @throws KmsError KMS_ANSWER */
function readAnswer(answered: IncomingMessage): Promise<Buffer> {
  return readBody(answered, limits.kmsAnswerBytes).catch(brokeOff);
}

function brokeOff(cause: unknown): never {
  throw new KmsError('KMS_ANSWER', `the answer of KMS broke off: ${reasonOf(cause)}`, { cause });
}
