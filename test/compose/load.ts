import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

interface Request {
  startedMs: number;
  endedMs: number;
  error?: string;
}

interface Break {
  openedMs: number;
  brokeMs: number;
}

/** What clients saw between two moments. */
export interface Seen {
  requests: number;
  failed: Request[];
  /** From the start of the first request that failed to that of the next one that did not; 0 when none failed. */
  gapMs: number;
  slowestMs: number;
  /** Ends of the long-lived connection that its client did not ask for, by this clock. */
  breaks: Break[];
}

/** So many ask at a time, each with a pause between two requests: an emulated machine shall not be what fails. */
const CLIENTS = 4;
const PAUSE_MS = 20;
const ECHO_EVERY_MS = 50;
/** A connect is over by then, and most answers are not. */
const CONNECT_MS = 50;
/** What hangs that long has failed. */
const REQUEST_MS = 20_000;

/** Clients of an enclave: some with a new connection for each request, and one whose connection stays, with a line to and fro. */
export class Load {
  readonly #httpPort: number;
  readonly #echoPort: number;
  readonly #requests: Request[] = [];
  readonly #breaks: Break[] = [];
  readonly #working: Promise<unknown>;
  #echo: Socket | undefined;
  #stopped = false;
  #held: Promise<unknown> | undefined;

  constructor(ports: { http: number; echo: number }) {
    this.#httpPort = ports.http;
    this.#echoPort = ports.echo;
    this.#working = Promise.all([this.#keepEchoing(), ...Array.from({ length: CLIENTS }, () => this.#keepAsking())]);
  }

  /** What was seen since a moment, of requests that ended later. */
  since(fromMs: number): Seen {
    const requests = this.#requests.filter(({ endedMs }) => endedMs >= fromMs);
    requests.sort((a, b) => a.startedMs - b.startedMs);
    const failed = requests.filter(({ error }) => error !== undefined);
    const [first, last] = [failed[0], failed.at(-1)];
    const good = requests.find(({ startedMs, error }) => error === undefined && startedMs > (last?.startedMs ?? 0));
    return {
      requests: requests.length,
      failed,
      gapMs: first === undefined ? 0 : (good?.startedMs ?? Number.POSITIVE_INFINITY) - first.startedMs,
      slowestMs: Math.max(0, ...requests.map(({ startedMs, endedMs }) => endedMs - startedMs)),
      breaks: this.#breaks.filter(({ brokeMs }) => brokeMs >= fromMs),
    };
  }

  /** Resolves when a request gets its answer. */
  async answered(): Promise<void> {
    const fromMs = performance.now();
    while (!this.#requests.some(({ startedMs, error }) => startedMs > fromMs && error === undefined)) await sleep(50);
  }

  /**
   * Runs `act` while requests are under way and none of them connects: vhost-device-vsock 0.3.0 panics where a host side goes between
   * CONNECT and OK, goes on without its worker, and leaves the enclave deaf (docs/faults.md). The devices of Nitro and of the kernel have no such exchange.
   */
  async betweenConnects(act: () => Promise<void>): Promise<void> {
    this.#held = sleep(CONNECT_MS).then(act);
    await this.#held.finally(() => {
      this.#held = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#echo?.destroy();
    await this.#working;
  }

  async #keepAsking(): Promise<void> {
    while (!this.#stopped) {
      await this.#held;
      await this.#ask();
      await sleep(PAUSE_MS);
    }
  }

  async #ask(): Promise<void> {
    const startedMs = performance.now();
    const error = await new Promise<string | undefined>((resolve) => {
      const options = { host: '127.0.0.1', port: this.#httpPort, agent: false, timeout: REQUEST_MS };
      const request = get(options, (answer) => {
        let body = '';
        answer
          .setEncoding('utf8')
          .on('data', (text: string) => {
            body += text;
          })
          .on('error', ({ message }) => resolve(message))
          .on('end', () => resolve(body === 'hello' ? undefined : `${answer.statusCode} ${body}`));
      });
      request.on('timeout', () => request.destroy(new Error('no answer')));
      request.on('error', ({ message }) => resolve(message));
    });
    this.#requests.push({ startedMs, endedMs: performance.now(), ...(error === undefined ? {} : { error }) });
  }

  async #keepEchoing(): Promise<void> {
    while (!this.#stopped) {
      const opened = await this.#echoUntilItBreaks();
      if (opened !== undefined && !this.#stopped) this.#breaks.push({ openedMs: opened, brokeMs: performance.now() });
      await sleep(ECHO_EVERY_MS);
    }
  }

  /** When its first line came back; undefined when none did. */
  #echoUntilItBreaks(): Promise<number | undefined> {
    return new Promise((resolve) => {
      let opened: number | undefined;
      const socket = connect(this.#echoPort, '127.0.0.1');
      this.#echo = socket;
      const line = () => setTimeout(() => socket.write('line\n'), ECHO_EVERY_MS);
      socket.on('connect', line);
      socket.on('data', () => {
        opened ??= performance.now();
        line();
      });
      socket.on('error', () => socket.destroy());
      socket.on('close', () => resolve(opened));
    });
  }
}
