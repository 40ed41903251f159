import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ConnectionLimits, EnclaveRecord, HttpRoute, PublishedPort } from '@enclaver/bus';
import { Metrics } from '@enclaver/telemetry';
import { Relay, type RelayGroup, unixTransport } from '@enclaver/vsock';
import { pino } from 'pino';
import { record } from '../../../libs/bus/test/record.ts';
import { FakeGuest, type GuestHandler } from '../../../libs/vsock/test/fake-guest.ts';
import { httpMetrics } from '../src/http/http-metrics.ts';
import { HttpPorts } from '../src/http/http-ports.ts';
import { Share } from '../src/http/share.ts';
import type { TrustedProxies } from '../src/http/trusted-proxies.ts';
import type { Destination, Ingress } from '../src/ingress.ts';
import { groupLimits, type Limits, limits } from '../src/limits.ts';

const LISTEN_PORT = 8080;

/** Enclaves of which only the app's port is there, behind Unix sockets as of a vsock device, and the HTTP mode before them. */
export class HttpHarness implements AsyncDisposable {
  readonly ports: HttpPorts;
  readonly metrics = new Metrics();
  readonly #relay = new Relay();
  readonly #work: string;
  readonly #guests = new Map<string, FakeGuest>();
  readonly #groups = new Map<string, RelayGroup>();
  readonly #open: Ingress[] = [];

  private constructor(work: string, bounds: Partial<Limits>, trusted: TrustedProxies | undefined) {
    this.#work = work;
    this.ports = new HttpPorts(this.#relay, pino({ level: 'silent' }), {
      bounds: { ...limits, ...bounds },
      onRequestEnd: httpMetrics(this.metrics),
      trusted,
    });
  }

  static async start(bounds: Partial<Limits> = {}, trusted?: TrustedProxies): Promise<HttpHarness> {
    return new HttpHarness(await mkdtemp(join(tmpdir(), 'enclaver-http-')), bounds, trusted);
  }

  /** Publishes an enclave's port; `image` tells its image apart, `state` is that of its record. */
  async publish(
    id: string,
    route: HttpRoute = {},
    { port = 0, name = id, image = name, state = 'ready', host = '127.0.0.1', limits: bounds }: Partial<Published> = {},
  ) {
    await this.guest(id);
    const asked: PublishedPort = { listenPort: LISTEN_PORT, host, port, protocol: 'http', route };
    const opened = await this.ports.open(this.destination(id, { name, image, state, limits: bounds }), asked, {
      held: false,
    });
    this.#open.push(opened);
    return opened;
  }

  /** Makes the enclave, if it is not there yet. */
  async guest(id: string): Promise<void> {
    if (!this.#guests.has(id)) this.#guests.set(id, await FakeGuest.start(join(this.#work, id)));
  }

  /** An enclave as routes lead to it. */
  destination(
    id: string,
    { name = id, image = name, state = 'ready', limits: bounds }: Partial<Omit<Published, 'port' | 'host'>> = {},
  ): Destination {
    const group = this.#relay.group(groupLimits(bounds));
    const share = new Share(group, bounds?.ingressBytesPerSecond);
    this.#groups.set(id, group);
    return { record: recordOf(id, name, image, state), transport: this.transport(id), group, share };
  }

  /** What counts and bounds the enclave's requests. */
  group(id: string): RelayGroup {
    const group = this.#groups.get(id);
    assert(group !== undefined);
    return group;
  }

  transport(id: string) {
    return unixTransport({ path: join(this.#work, id) });
  }

  /** What the app of the enclave does with a connection. */
  serveRaw(id: string, handler: GuestHandler): void {
    this.#guests.get(id)?.on(LISTEN_PORT, handler);
  }

  /** An app of HTTP/1.1; gives the number of connections that it has had. */
  serve(id: string, onRequest: RequestListener, server = createServer({ requestTimeout: 0 })): Seen {
    server.on('request', onRequest);
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
    await Promise.all(this.#open.map((each) => each.close({ drainMs: 0, shared: false })));
    await this.#relay.close();
    for (const guest of this.#guests.values()) await guest[Symbol.asyncDispose]();
    await rm(this.#work, { recursive: true });
  }
}

/** Connections that an app had, and those that are open. */
export interface Seen {
  connections: number;
  readonly sockets: Set<Socket>;
}

interface Published {
  port: number;
  name: string;
  image: string;
  state: EnclaveRecord['state'];
  host: string;
  limits: ConnectionLimits | undefined;
}

/** Sends bytes on a connection of its own and gives all that comes back until it is closed. */
export async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes, 'latin1');
  let text = '';
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1');
  });
  socket.on('error', () => socket.destroy());
  await once(socket, 'close');
  return text;
}

const execute = promisify(execFile);

/** curl, with what it prints: head and body of the answer. */
export async function curl(...args: string[]): Promise<string> {
  const { stdout } = await execute('curl', ['-sS', '-i', '--max-time', '20', ...args], { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

export function recordOf(id: string, name: string, image: string, state: EnclaveRecord['state']): EnclaveRecord {
  return { ...record, id, name, state, measurements: { ...record.measurements, PCR0: image } };
}
