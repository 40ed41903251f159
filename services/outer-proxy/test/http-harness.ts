import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EnclaveRecord, HttpRoute, PublishedPort } from '@enclaver/bus';
import { Relay, unixTransport } from '@enclaver/vsock';
import { pino } from 'pino';
import { FakeGuest, type GuestHandler } from '../../../libs/vsock/test/fake-guest.ts';
import { HttpPorts } from '../src/http/http-ports.ts';

export const LISTEN_PORT = 8080;

/** Enclaves of which only the app's port is there, behind Unix sockets as of a vsock device, and the HTTP mode before them. */
export class HttpHarness implements AsyncDisposable {
  readonly ports: HttpPorts;
  readonly #relay = new Relay();
  readonly #work: string;
  readonly #guests = new Map<string, FakeGuest>();
  readonly #open: { route: { close(options?: { drainMs?: number }): Promise<void> } }[] = [];

  private constructor(work: string) {
    this.#work = work;
    this.ports = new HttpPorts(this.#relay, pino({ level: 'silent' }));
  }

  static async start(): Promise<HttpHarness> {
    return new HttpHarness(await mkdtemp(join(tmpdir(), 'enclaver-http-')));
  }

  /** Publishes an enclave's port; `image` tells its image apart, `state` is that of its record. */
  async publish(
    id: string,
    route: HttpRoute = {},
    { port = 0, name = id, image = name, state = 'ready', host = '127.0.0.1' }: Partial<Published> = {},
  ) {
    if (!this.#guests.has(id)) this.#guests.set(id, await FakeGuest.start(join(this.#work, id)));
    const asked: PublishedPort = { listenPort: LISTEN_PORT, host, port, protocol: 'http', route };
    const opened = await this.ports.open(recordOf(id, name, image, state), this.transport(id), asked, false);
    this.#open.push(opened);
    return opened;
  }

  transport(id: string) {
    return unixTransport({ path: join(this.#work, id) });
  }

  /** What the app of the enclave does with a connection. */
  serveRaw(id: string, handler: GuestHandler): void {
    this.#guests.get(id)?.on(LISTEN_PORT, handler);
  }

  /** An app of HTTP/1.1; gives the number of connections that it has had. */
  serve(id: string, onRequest: RequestListener): { connections: number; sockets: Set<Socket> } {
    const server = createServer({ requestTimeout: 0 }, onRequest);
    const seen = { connections: 0, sockets: new Set<Socket>() };
    this.serveRaw(id, (socket) => {
      seen.connections++;
      seen.sockets.add(socket);
      socket.once('close', () => seen.sockets.delete(socket));
      server.emit('connection', socket);
    });
    return seen;
  }

  cut(id: string): void {
    this.#guests.get(id)?.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map(({ route }) => route.close()));
    await this.#relay.close();
    for (const guest of this.#guests.values()) await guest[Symbol.asyncDispose]();
    await rm(this.#work, { recursive: true });
  }
}

interface Published {
  port: number;
  name: string;
  image: string;
  state: EnclaveRecord['state'];
  host: string;
}

export function recordOf(id: string, name: string, image: string, state: EnclaveRecord['state']): EnclaveRecord {
  return {
    id,
    name,
    state,
    backend: 'qemu',
    eif: '/x.eif',
    measurements: { PCR0: image, PCR1: '1'.repeat(96), PCR2: '2'.repeat(96) },
    cpuCount: 1,
    memoryMb: 512,
    debug: false,
    vsock: { type: 'unix', path: '/' },
    ingress: [],
    egress: false,
    times: {},
  };
}
