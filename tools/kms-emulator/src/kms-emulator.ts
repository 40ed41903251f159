import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Answer } from './action.ts';
import { actions } from './actions.ts';
import { ACCOUNT, KeyStore, partitionOf } from './key-store.ts';
import { KmsError } from './kms-error.ts';
import { limits } from './limits.ts';
import { type Credentials, verifySigV4 } from './sigv4.ts';
import type { TlsPair } from './tls-pair.ts';

const CONTENT_TYPE = 'application/x-amz-json-1.1';
const TARGET = 'TrentService.';

export interface EmulatedCredentials extends Credentials {
  /** ARN of the user, role or session that has them. Default: a user `emulated` of the emulator's account. */
  principal?: string | undefined;
}

export interface KmsEmulatorOptions {
  /** Whose requests are taken. */
  credentials: readonly EmulatedCredentials[];
  /** The clock that signatures and attestation documents are held against. Default: the machine's. */
  now?: () => Date;
  /**
   * Roots of the attestation documents that are taken, in DER: those of development roots. Default: none, so that each document
   * is refused. AWS's own root is never taken by itself: its documents belong to AWS's own KMS.
   */
  roots?: readonly Uint8Array[];
  /** Documents that are older are refused as stale. Default: 5 minutes, as KMS does by common account. */
  documentAgeMs?: number;
  /** Default: a free one. */
  port?: number;
  /** Serves HTTPS with this pair, in PEM form. Default: plain HTTP. */
  tls?: TlsPair | undefined;
}

/**
 * An emulator of the endpoint of AWS KMS, on 127.0.0.1, for tests and the demo. It checks the signature of every request, the
 * policy of the key and the attestation document, and answers as KMS does, errors too. Its keys are worth nothing.
 */
export class KmsEmulator implements AsyncDisposable {
  readonly keys = new KeyStore();
  /** Names of the operations that were asked for, in their order, with a good signature. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #scheme: 'http' | 'https';
  readonly #credentials: ReadonlyMap<string, EmulatedCredentials>;
  readonly #roots: readonly Uint8Array[];
  readonly #now: () => Date;
  readonly #documentAgeMs: number;

  private constructor({
    credentials,
    now = () => new Date(),
    roots = [],
    documentAgeMs = limits.documentAgeMs,
    tls,
  }: KmsEmulatorOptions) {
    this.#credentials = new Map(credentials.map((each) => [each.accessKeyId, each]));
    this.#now = now;
    this.#roots = roots;
    this.#documentAgeMs = documentAgeMs;
    this.#scheme = tls === undefined ? 'http' : 'https';
    const times = { requestTimeout: limits.requestMs, headersTimeout: limits.requestMs };
    const serve = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    this.#server = tls === undefined ? createServer(times, serve) : createTlsServer({ ...times, ...tls }, serve);
  }

  static async start(options: KmsEmulatorOptions): Promise<KmsEmulator> {
    const emulator = new KmsEmulator(options);
    emulator.#server.listen(options.port ?? 0, '127.0.0.1');
    await once(emulator.#server, 'listening');
    return emulator;
  }

  /** For `AWS_ENDPOINT_URL_KMS`. */
  get endpoint(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('date', this.#now().toUTCString());
    try {
      const answer = await this.#answer(request, await readBody(request));
      respond(response, 200, answer);
    } catch (error) {
      const known = error instanceof KmsError ? error : new KmsError('KMSInternalException', String(error), 500);
      if (!request.complete) response.setHeader('connection', 'close');
      respond(response, known.status, known.answer);
    }
  }

  async #answer(request: IncomingMessage, body: Buffer): Promise<Answer> {
    const { method = '', url = '/' } = request;
    const headers = request.headers as Record<string, string | undefined>;
    const find = (id: string): EmulatedCredentials | undefined => this.#credentials.get(id);
    const now = this.#now();
    const { credentials, region } = verifySigV4({ method, url, headers, body }, { service: 'kms', find, now });
    const target = headers['x-amz-target'] ?? '';
    const name = target.startsWith(TARGET) ? target.slice(TARGET.length) : '';
    const action = actions.get(name);
    if (method !== 'POST' || url !== '/' || action === undefined) throw new KmsError('UnknownOperationException');
    this.asked.push(name);
    const { principal = `arn:${partitionOf(region)}:iam::${ACCOUNT}:user/emulated` } = credentials;
    return action(parseJson(body), {
      keys: this.keys,
      caller: { principal, region },
      now,
      roots: this.#roots,
      documentAgeMs: this.#documentAgeMs,
    });
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  // The request stays open when it is too large: the answer goes over the same connection.
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > limits.bodyBytes) throw new KmsError('RequestEntityTooLargeException', 'Request is too large', 413);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new KmsError('SerializationException', 'The request is not JSON');
  }
}

function respond(response: ServerResponse, status: number, answer: Answer): void {
  const body = JSON.stringify(answer);
  response.writeHead(status, {
    'content-type': CONTENT_TYPE,
    'content-length': Buffer.byteLength(body),
    'x-amzn-requestid': randomUUID(),
  });
  response.end(body);
}
