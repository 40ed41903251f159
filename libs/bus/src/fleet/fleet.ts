import { PassThrough, Readable } from 'node:stream';
import type { NatsConnection } from 'nats';
import * as z from 'zod';
import { BusError, errorDataSchema } from '../bus-error.ts';
import { decodeCloudEvent, encodeCloudEvent } from '../cloud-event.ts';
import { openConnection } from '../connection.ts';
import { credentialsSchema } from '../credentials.ts';
import type { EnclaveRecord } from '../enclave.ts';
import { limits } from '../limits.ts';
import { operations } from '../operations.ts';
import { subjects } from '../subjects.ts';
import { type FleetNews, HostEvents } from './host-events.ts';
import { hostName, readFleetFile } from './host-link.ts';

const fleetCredentialsSchema = credentialsSchema.omit({ ca: true }).extend({
  /** With `tls://`: certificates that the hub's must descend from, in PEM; default: those that Node trusts. */
  caPem: z.string().max(limits.caBytes).optional(),
  hosts: z.array(hostName).max(limits.fleetHosts),
});

export type FleetCredentials = z.infer<typeof fleetCredentialsSchema>;

/** Errors: `FLEET_FILE_INVALID`. */
export const readFleetCredentials = (file: string): Promise<FleetCredentials> =>
  readFleetFile(file, fleetCredentialsSchema);

export type HostEnclaves = { host: string; enclaves: EnclaveRecord[] } | { host: string; away: BusError };

/** What the hub shows of all hosts. It can be looked at and no more: a host answers the hub nothing that would change it. */
export class Fleet implements AsyncDisposable {
  readonly hosts: readonly string[];
  /** Its address. */
  readonly hub: string;
  readonly #source: string;
  readonly #connection: NatsConnection;

  private constructor(source: string, connection: NatsConnection, hub: string, hosts: readonly string[]) {
    this.#source = source;
    this.#connection = connection;
    this.hub = hub;
    this.hosts = hosts;
  }

  /** `credentials`: the file `fleet.json`. Errors: `FLEET_FILE_INVALID`, `FLEET_HUB_UNREACHABLE`, `BUS_REFUSED`. */
  static async connect(options: { source: string; credentials: string }): Promise<Fleet> {
    const { hosts, ...credentials } = await readFleetCredentials(options.credentials);
    const connection = await openConnection(options.source, credentials).catch((cause: unknown) => {
      if (!(cause instanceof BusError) || cause.code !== 'BUS_UNREACHABLE') throw cause;
      const remedy = 'does the nats-server of the hub run, and is this address right?';
      throw new BusError({ code: 'FLEET_HUB_UNREACHABLE', message: cause.message, remedy }, { cause });
    });
    return new Fleet(options.source, connection, credentials.url, hosts);
  }

  /** The enclaves of each host that answers; with `all` those that ended, too. */
  list(options: { all?: boolean | undefined } = {}): Promise<HostEnclaves[]> {
    return Promise.all(this.hosts.map((host) => this.#list(host, options)));
  }

  async #list(host: string, request: { all?: boolean | undefined }): Promise<HostEnclaves> {
    const subject = subjects.operation('supervisor', 'list');
    try {
      const answer = await this.#ask(host, subject, encodeCloudEvent(this.#source, `${subject}.request`, request));
      return { host, ...decodeCloudEvent(answer, operations.supervisor.list.response).data };
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      return { host, away: error };
    }
  }

  /**
   * Lifecycle events of all hosts, from now on or from the oldest kept with `replay`: each host's in order and once, and after
   * a time away those of the meantime. A host that is away at first is followed from its return. Ends when the loop is left or
   * `signal` says so.
   */
  async *events(options: { replay?: boolean | undefined; signal: AbortSignal }): AsyncGenerator<FleetNews> {
    const ended = new AbortController();
    const signal = AbortSignal.any([options.signal, ended.signal]);
    const out = new PassThrough({ objectMode: true, highWaterMark: limits.fleetEventsWaiting });
    // Each source of a stream has a handful of listeners
    out.setMaxListeners(0);
    const sources = new Map<string, HostEvents>();
    const streams: Readable[] = [];
    for (const host of this.hosts) {
      const ask = (query: object) => this.#ask(host, subjects.keptEvent(), Buffer.from(JSON.stringify(query)));
      const source = new HostEvents({ host, ask, replay: options.replay, signal });
      sources.set(host, source);
      const stream = Readable.from(source, { highWaterMark: 1 }).on('error', (error) => out.destroy(error));
      stream.pipe(out, { end: false });
      streams.push(stream);
    }
    const end = (): void => {
      for (const stream of streams) stream.unpipe(out);
      out.end();
    };
    const words = this.#connection.subscribe(subjects.ofEveryHost(subjects.enclaveEvents()), {
      callback: (_, { subject }) => sources.get(subject.split('.')[1] ?? '')?.look(),
    });
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    try {
      yield* out;
    } finally {
      ended.abort();
      words.unsubscribe();
    }
  }

  async #ask(host: string, subject: string, payload: Buffer): Promise<Uint8Array> {
    const timeout = limits.fleetTimeoutMs;
    const answer = await this.#connection
      .request(subjects.ofHost(host, subject), payload, { timeout })
      .catch((cause: unknown) => {
        throw new BusError(
          {
            code: 'FLEET_HOST_AWAY',
            message: `${host} did not answer within ${timeout / 1000} s`,
            remedy: 'on that host: do nats-server and the supervisor run, and does its link reach the hub?',
          },
          { cause },
        );
      });
    if (answer.headers?.get('Nats-Service-Error-Code')) {
      throw new BusError(decodeCloudEvent(answer.data, errorDataSchema).data);
    }
    return answer.data;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
