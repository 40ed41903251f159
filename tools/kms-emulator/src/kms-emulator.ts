import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Action } from './action.ts';
import { describeKey } from './actions/describe-key.ts';
import { getPublicKey } from './actions/get-public-key.ts';
import { sign } from './actions/sign.ts';
import { KeyStore } from './key-store.ts';
import { KmsError } from './kms-error.ts';
import { limits } from './limits.ts';
import { type Credentials, verifySigV4 } from './sigv4.ts';

const CONTENT_TYPE = 'application/x-amz-json-1.1';
const TARGET = 'TrentService.';

const actions: ReadonlyMap<string, Action> = new Map([
  ['DescribeKey', describeKey],
  ['GetPublicKey', getPublicKey],
  ['Sign', sign],
]);

export interface KmsEmulatorOptions {
  /** Whose requests are taken. */
  credentials: readonly Credentials[];
  /** The clock that signatures are held against. Default: the machine's. */
  now?: () => Date;
}

/**
 * An emulator of the endpoint of AWS KMS, on 127.0.0.1 and a free port, for tests and the demo. It checks the signature of
 * every request and answers as KMS does, errors too. Its keys are worth nothing.
 */
export class KmsEmulator implements AsyncDisposable {
  readonly keys = new KeyStore();
  /** Names of the operations that were asked for, in their order, with a good signature. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #credentials: ReadonlyMap<string, Credentials>;
  readonly #now: () => Date;

  private constructor({ credentials, now = () => new Date() }: KmsEmulatorOptions) {
    this.#credentials = new Map(credentials.map((each) => [each.accessKeyId, each]));
    this.#now = now;
    this.#server = createServer(
      { requestTimeout: limits.requestMs, headersTimeout: limits.requestMs },
      (request, response) => void this.#serve(request, response),
    );
  }

  static async start(options: KmsEmulatorOptions): Promise<KmsEmulator> {
    const emulator = new KmsEmulator(options);
    emulator.#server.listen(0, '127.0.0.1');
    await once(emulator.#server, 'listening');
    return emulator;
  }

  /** For `AWS_ENDPOINT_URL_KMS`. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answer = this.#answer(request, await readBody(request));
      respond(response, 200, answer);
    } catch (error) {
      const known = error instanceof KmsError ? error : new KmsError('KMSInternalException', String(error), 500);
      if (!request.complete) response.setHeader('connection', 'close');
      respond(response, known.status, { __type: known.type, message: known.message });
    }
  }

  #answer(request: IncomingMessage, body: Buffer): Record<string, unknown> {
    const { method = '', url = '/' } = request;
    const headers = request.headers as Record<string, string | undefined>;
    const find = (id: string): Credentials | undefined => this.#credentials.get(id);
    const { region } = verifySigV4({ method, url, headers, body }, { service: 'kms', find, now: this.#now() });
    const target = headers['x-amz-target'] ?? '';
    const name = target.startsWith(TARGET) ? target.slice(TARGET.length) : '';
    const action = actions.get(name);
    if (method !== 'POST' || url !== '/' || action === undefined) throw new KmsError('UnknownOperationException', '');
    this.asked.push(name);
    return action(parseJson(body), { keys: this.keys, region });
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

function respond(response: ServerResponse, status: number, answer: Record<string, unknown>): void {
  const body = JSON.stringify(answer);
  response.writeHead(status, {
    'content-type': CONTENT_TYPE,
    'content-length': Buffer.byteLength(body),
    'x-amzn-requestid': randomUUID(),
  });
  response.end(body);
}
