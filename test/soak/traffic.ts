import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { bytesOf, expectBytes, LONGEST, type Part } from './bytes.ts';

/** What hangs that long has failed. */
const REQUEST_MS = 60_000;
const SMALL = 16_384;
const KEPT_CONNECTIONS = 32;

/** Of a hundred requests so many are of each kind; and what each opens, through odyn or outer-proxy. */
export const KINDS = {
  'new connection': { share: 50, connections: 1 },
  'kept connection': { share: 30, connections: 0 },
  'egress by CONNECT': { share: 8, connections: 1 },
  'egress in absolute form': { share: 8, connections: 1 },
  'bulk up': { share: 2, connections: 1 },
  'bulk down': { share: 2, connections: 1 },
} as const;
type Kind = keyof typeof KINDS;
const NAMES = Object.keys(KINDS) as Kind[];
const TURN = NAMES.flatMap((kind) => Array.from({ length: KINDS[kind].share }, () => kind));

/** One request after the other through the whole stack, each with other bytes, of which every one is looked at. */
export class Traffic {
  readonly done: Record<Kind, number> = { ...NONE };
  /** What failed and how, and how often. */
  readonly failures = new Map<string, number>();
  connections = 0;
  bytes = 0;
  failed = 0;
  open = 0;
  readonly #port: number;
  readonly #random: () => number;
  readonly #kept = new Agent({ keepAlive: true, maxSockets: KEPT_CONNECTIONS, scheduling: 'fifo' });

  constructor(port: number, random: () => number) {
    this.#port = port;
    this.#random = random;
  }

  /** Of requests, of whatever kind. */
  get total(): number {
    return NAMES.reduce((sum, kind) => sum + this.done[kind], 0);
  }

  /** One request. What fails is counted, and how it failed. */
  async one(): Promise<void> {
    const kind = TURN[Math.floor(this.#random() * TURN.length)] as Kind;
    const isBulk = kind.startsWith('bulk');
    const length = Math.floor(this.#random() * (isBulk ? LONGEST : SMALL));
    const part = { offset: Math.floor(this.#random() * LONGEST), length };
    this.open += 1;
    try {
      await this.#ask(kind, part);
      this.bytes += length;
    } catch (error) {
      this.failed += 1;
      const failure = `${kind}: ${(error as Error).message}`;
      const known = this.failures.get(failure);
      if (known !== undefined || this.failures.size < 20) this.failures.set(failure, (known ?? 0) + 1);
    }
    this.open -= 1;
    this.done[kind] += 1;
    this.connections += KINDS[kind].connections;
  }

  /** Lines that the app has written. */
  async lines(): Promise<number> {
    const answer = await this.#send({ path: '/lines/0/0' });
    let text = '';
    for await (const chunk of answer) text += chunk;
    return Number(text);
  }

  /**
   * The app ends the kept connections. When a client does, the relay waits for the app's end for a minute, since a hybrid socket
   * (docs/relay.md) cannot be closed by halves.
   */
  async endKept(): Promise<void> {
    await expectBytes(await this.#send({ path: '/endKept/0/0', agent: false }), NOTHING);
    this.close();
  }

  close(): void {
    this.#kept.destroy();
  }

  async #ask(kind: Kind, part: Part): Promise<void> {
    const path = `/${part.offset}/${part.length}`;
    switch (kind) {
      case 'new connection':
      case 'bulk down':
        return await expectBytes(await this.#send({ path, agent: false }), part);
      case 'kept connection':
        return await expectBytes(await this.#send({ path, agent: this.#kept }), part);
      case 'egress by CONNECT':
        return await expectBytes(await this.#send({ path: `/connect${path}`, agent: this.#kept }), NOTHING);
      case 'egress in absolute form':
        return await expectBytes(await this.#send({ path: `/absolute${path}`, agent: this.#kept }), NOTHING);
      case 'bulk up':
        return await expectBytes(await this.#send({ path, method: 'PUT', agent: false }, bytesOf(part)), NOTHING);
    }
  }

  #send(options: RequestOptions, body?: Buffer): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: this.#port, timeout: REQUEST_MS, ...options });
      asked.once('timeout', () => asked.destroy(new Error('no answer'))).once('error', reject);
      asked.once('response', (answer) => {
        if (answer.statusCode === 200) return resolve(answer);
        answer.resume();
        reject(new Error(`answered with ${answer.statusCode}`));
      });
      asked.end(body);
    });
  }
}

const NONE = Object.fromEntries(NAMES.map((kind) => [kind, 0])) as Record<Kind, number>;
const NOTHING: Part = { offset: 0, length: 0 };
