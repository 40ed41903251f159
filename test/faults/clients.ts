import { createHash } from 'node:crypto';
import { connect } from 'node:net';

export interface Failure {
  atMs: number;
  message: string;
}

/** What hangs that long has failed. */
const REQUEST_MS = 20_000;

/** Clients that fetch the same bytes over and over, each time on a new connection, and look at every one of them. */
export class Clients {
  requests = 0;
  readonly failures: Failure[] = [];
  readonly #port: number;
  readonly #expected: string;
  readonly #working: Promise<unknown>;
  #stopped = false;

  constructor(port: number, expected: Buffer, count: number) {
    this.#port = port;
    this.#expected = sha256(expected);
    this.#working = Promise.all(Array.from({ length: count }, () => this.#keepAsking()));
  }

  /** Resolves when so many more requests have got their answer. */
  async answered(count: number): Promise<void> {
    const until = this.requests - this.failures.length + count;
    while (this.requests - this.failures.length < until) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#working;
  }

  async #keepAsking(): Promise<void> {
    while (!this.#stopped) {
      const message = await ask(this.#port, this.#expected);
      this.requests += 1;
      if (message !== undefined) this.failures.push({ atMs: performance.now(), message });
    }
  }
}

/** What is wrong with the answer, undefined if nothing. */
async function ask(port: number, expected: string): Promise<string | undefined> {
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(REQUEST_MS, () => socket.destroy(new Error('no answer')));
  socket.write('GET /blob HTTP/1.0\r\n\r\n');
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of socket) chunks.push(chunk);
  } catch (error) {
    return (error as Error).message;
  }
  const answer = Buffer.concat(chunks);
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  if (sha256(body) === expected) return undefined;
  // An end that came early is a failure that a client notices by the length; other bytes would be a fault
  const length = Number(/content-length: (\d+)/i.exec(answer.toString('latin1', 0, 500))?.[1]);
  return body.length < length || answer.length === 0 ? 'cut short' : `wrong bytes (${body.length} of ${length})`;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
