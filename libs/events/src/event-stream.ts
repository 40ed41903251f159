import {
  type ConnectionOptions,
  type ConsumerOptsBuilder,
  connect,
  consumerOpts,
  type JetStreamSubscription,
  type JsMsg,
  type NatsConnection,
  NatsError,
} from 'nats';
import { type Credentials, readCredentials } from './credentials.ts';
import { EnclaveNames } from './enclave-names.ts';
import type { EventData } from './event-types.ts';
import { EventsError } from './events-error.ts';
import { limits } from './limits.ts';

const STREAM = 'ENCLAVER_EVENTS';
const ROOT = 'enclaver.v1.enclave';

export type EventName = keyof EventData;

/** One event; narrow on `name`. */
export type EnclaveEvent<N extends EventName = EventName> = {
  [Name in N]: {
    /** Its place in the stream: `from: { sequence }` goes on there. */
    sequence: number;
    /** Id of the enclave, `e-…`. */
    id: string;
    name: Name;
    /** ISO 8601. */
    time: string;
    /** The service that told it. */
    source: string;
    data: EventData[Name];
  };
}[N];

export interface EventsOptions<N extends EventName = EventName> {
  /** Path of a credentials file, or what it holds. */
  credentials: string | Credentials;
  /** Only of this enclave: its id, or the name that it has and its successors will have. */
  enclave?: string;
  /** Only these events. */
  names?: readonly N[];
  /** Where to begin; default `now`. A durable stream begins here the first time alone. */
  from?: 'now' | 'oldest' | { sequence: number } | { time: Date | string };
  /**
   * The bus keeps under this name what was taken, for 30 days. An event is taken when the loop asks for the next one; what
   * was not comes again. One process at a time.
   */
  durable?: string;
  /** Told of each message that is no event of this version, which is left out. */
  onSkipped?: (error: EventsError) => void;
}

/**
 * Lifecycle events as they happen, for `for await`. A lost connection is taken up again, for ever, and no event that is still
 * kept is left out. Errors: `BUS_CREDENTIALS_INVALID`, `BUS_UNREACHABLE`, `BUS_REFUSED`, `EVENTS_REFUSED`.
 */
export function events<N extends EventName = EventName>(options: EventsOptions<N>): EventStream<N> {
  return new EventStream(options);
}

/** Ends when its loop is left, with `close`, or with its scope (`await using`). */
export class EventStream<N extends EventName = EventName> implements AsyncIterable<EnclaveEvent<N>>, AsyncDisposable {
  /** Resolves once the bus has this reader: what happens from then on will be seen. */
  readonly ready: Promise<void>;
  readonly #options: EventsOptions<N>;
  readonly #opened: Promise<{
    connection: NatsConnection;
    messages: JetStreamSubscription;
    names: EnclaveNames;
    isEarlier: (message: JsMsg) => boolean;
  }>;
  #closed: Promise<void> | undefined;

  constructor(options: EventsOptions<N>) {
    this.#options = options;
    this.#opened = this.#open();
    this.ready = this.#opened.then(() => undefined);
    // Whoever iterates or waits for `ready` gets the error; nobody has to do both
    this.ready.catch(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<EnclaveEvent<N>, void> {
    const { messages, names, isEarlier } = await this.#opened;
    const isDurable = this.#options.durable !== undefined;
    let last = 0;
    let open: JsMsg | undefined;
    try {
      for await (const message of messages) {
        // The client begins anew behind a lost connection, and the server gives again what was not acknowledged in time
        if (message.seq > last && (isDurable || !isEarlier(message))) {
          open = message;
          const event = this.#read(message);
          if (event !== undefined && (await names.matches(event))) yield event;
          last = message.seq;
        }
        if (isDurable) message.ack();
        open = undefined;
      }
    } finally {
      // Left in the middle: the next reader shall not have to wait for it
      if (isDurable) open?.nak();
      await this.close();
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#opened.then(
      async ({ connection }) => {
        if (!connection.isClosed() && !connection.isDraining()) await connection.drain();
      },
      () => undefined,
    );
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #open() {
    const { credentials: given, enclave, durable } = this.#options;
    const credentials = typeof given === 'string' ? await readCredentials(given) : given;
    const inboxPrefix = credentials.user === undefined ? '_INBOX' : `_INBOX_${credentials.user}`;
    const connection = await connectTo(credentials, inboxPrefix);
    try {
      const start = await this.#start(connection);
      const options = this.#consumer(start, inboxPrefix, durable);
      const messages = await connection.jetstream().subscribe(this.#filter(), options);
      const isEarlier = ({ seq, info }: JsMsg): boolean =>
        'sequence' in start ? seq < start.sequence : info.timestampNanos < start.time.getTime() * 1_000_000;
      return { connection, messages, names: new EnclaveNames(connection, enclave), isEarlier };
    } catch (cause) {
      await connection.close();
      throw new EventsError(
        'EVENTS_REFUSED',
        `the bus gives no events: ${(cause as Error).message}`,
        durable === undefined
          ? 'is the supervisor running, which makes the stream, and may this user read it?'
          : `is another process reading as ${durable}, or did it read with another filter?`,
        { cause },
      );
    }
  }

  /** The narrowest subject that has all that is asked for; what else is under it is left out here. */
  #filter(): string {
    const { enclave, names } = this.#options;
    const id = enclave !== undefined && isId(enclave) ? enclave : '*';
    return `${ROOT}.${id}.${names?.length === 1 ? names[0] : '*'}`;
  }

  async #start(connection: NatsConnection): Promise<{ sequence: number } | { time: Date }> {
    const { from = 'now' } = this.#options;
    if (from === 'oldest') return { sequence: 1 };
    if (from !== 'now') return 'sequence' in from ? from : { time: new Date(from.time) };
    const { streams } = await connection.jetstreamManager();
    return { sequence: (await streams.info(STREAM)).state.last_seq + 1 };
  }

  #consumer(
    start: { sequence: number } | { time: Date },
    inboxPrefix: string,
    durable: string | undefined,
  ): ConsumerOptsBuilder {
    const options = consumerOpts().bindStream(STREAM);
    if ('sequence' in start) options.startSequence(start.sequence);
    else options.startTime(start.time);
    if (durable === undefined) return options.orderedConsumer().idleHeartbeat(limits.heartbeatMs);
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(durable)) throw new TypeError('a durable name has 1 to 64 of A-Z a-z 0-9 _ -');
    return (
      options
        .durable(durable)
        .deliverTo(`${inboxPrefix}.durable.${durable}`)
        .manualAck()
        .ackExplicit()
        // One at a time: what is not acknowledged must not be overtaken
        .maxAckPending(1)
        .inactiveEphemeralThreshold(limits.durableKeptMs)
    );
  }

  #read({ subject, data, seq }: JsMsg): EnclaveEvent<N> | undefined {
    const [id = '', name = ''] = subject.split('.').slice(-2);
    const { names } = this.#options;
    if (names !== undefined && !(names as readonly string[]).includes(name)) return undefined;
    try {
      const event = envelopeOf(data, `${ROOT}.${name}`);
      return { sequence: seq, id, name, time: event.time, source: event.source, data: event.data } as EnclaveEvent<N>;
    } catch (cause) {
      const error = cause instanceof EventsError ? cause : notAnEvent((cause as Error).message, cause);
      this.#options.onSkipped?.(error);
      return undefined;
    }
  }
}

function isId(text: string): boolean {
  return /^e-[0-9a-f]{12}$/.test(text);
}

function notAnEvent(reason: string, cause?: unknown): EventsError {
  return new EventsError('BUS_MESSAGE_INVALID', `a message is no event: ${reason}`, undefined, { cause });
}

/**
 * The CloudEvent around the data, if it is of that type and of the major version that this package knows. An answer to a
 * request can have been sent to an event's subject.
 */
function envelopeOf(bytes: Uint8Array, wanted: string): { time: string; source: string; data: object } {
  const { specversion, type, time, source, dataschema, data } = JSON.parse(new TextDecoder().decode(bytes));
  if (specversion !== '1.0' || typeof time !== 'string' || typeof source !== 'string')
    throw notAnEvent('no CloudEvent');
  if (typeof data !== 'object' || data === null) throw notAnEvent('it has no data');
  if (dataschema !== undefined && !/^urn:enclaver:bus:1\.\d+$/.test(dataschema)) {
    const remedy = 'use the version of @enclaver/events that belongs to the stack';
    throw new EventsError('BUS_SCHEMA_UNSUPPORTED', `an event has the schema ${dataschema}`, remedy);
  }
  if (type !== wanted) throw notAnEvent(`it is of the type ${type}, where ${wanted} belongs`);
  return { time, source, data };
}

function tlsOptions({ url, ca, cert, key }: Credentials): Pick<ConnectionOptions, 'tls'> {
  if (!url.startsWith('tls:')) return {};
  // The client names no host that is an address to Node, which would check the certificate against `localhost`
  const checked = { host: new URL(url).hostname.replace(/^\[|\]$/g, '') };
  return {
    tls: {
      ...checked,
      ...(ca === undefined ? {} : { caFile: ca }),
      ...(cert === undefined ? {} : { certFile: cert }),
      ...(key === undefined ? {} : { keyFile: key }),
    },
  };
}

async function connectTo(credentials: Credentials, inboxPrefix: string): Promise<NatsConnection> {
  const { url, user, password } = credentials;
  try {
    return await connect({
      servers: url,
      name: '@enclaver/events',
      inboxPrefix,
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { pass: password }),
      ...tlsOptions(credentials),
      timeout: limits.connectTimeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: limits.reconnectMs,
    });
  } catch (cause) {
    const refused = cause instanceof NatsError && cause.code === 'AUTHORIZATION_VIOLATION';
    throw new EventsError(
      refused ? 'BUS_REFUSED' : 'BUS_UNREACHABLE',
      refused ? `the bus at ${url} refused the credentials` : `no bus answers at ${url}: ${(cause as Error).message}`,
      refused
        ? 'use bus/reader.json of the stack that runs now'
        : 'start the stack: `enclaver up`, `docker compose up`',
      { cause },
    );
  }
}
