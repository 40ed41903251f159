import { randomUUID } from 'node:crypto';
import {
  connect,
  DiscardPolicy,
  ErrorCode,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  type KV,
  type NatsConnection,
  NatsError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from 'nats';
import type * as z from 'zod';
import { BlobStore } from './blob-store.ts';
import { BusError, errorDataSchema } from './bus-error.ts';
import { decodeCloudEvent, encodeCloudEvent } from './cloud-event.ts';
import { type BusCredentials, readCredentials } from './credentials.ts';
import { EnclaveStore } from './enclave-store.ts';
import { type EventQuery, watchEvents } from './event-watch.ts';
import { type EnclaveEvent, type EnclaveEventData, type EnclaveEventName, enclaveEventSchemas } from './events.ts';
import { limits } from './limits.ts';
import { type LogQuery, lastLogs, watchLogs } from './log-watch.ts';
import { type LogBatch, type LogMessage, type LogStreamName, logBatchSchema } from './logs.ts';
import {
  type BuildProgress,
  buildProgressSchema,
  type OperationName,
  type OperationRequest,
  type OperationResponse,
  operations,
  type ServiceName,
} from './operations.ts';
import { untilStored } from './retry.ts';
import { type OperationHandlers, SERVICE_PREFIX, serveOperations } from './service-host.ts';
import { presentServices, whilePresent } from './service-presence.ts';
import { BLOB_BUCKET, ENCLAVE_BUCKET, EVENT_STREAM, LOG_STREAM, subjects } from './subjects.ts';
import { Warnings } from './warnings.ts';

export interface BusOptions {
  /** Name of this process: the connection's name on the server and the `source` of what it publishes. */
  source: string;
  /** Credentials, or the file that holds them. */
  credentials: BusCredentials | string;
}

/**
 * One process's link to the bus. All messages are CloudEvents whose data is checked on the way in and typed on the way
 * out. A lost connection is taken up again for ever; what is published meanwhile waits. Close with `await using`, or `close`.
 */
export class Bus implements AsyncDisposable {
  readonly source: string;
  readonly #connection: NatsConnection;
  readonly #jetStream: JetStreamClient;
  readonly #manager: JetStreamManager;
  /** State of the enclaves, one key each. */
  readonly enclaves: EnclaveStore;
  /** What is not as it should be, of this process and of all. */
  readonly warnings: Warnings;
  /** Since the start: connections taken up again, and what had to be sent again to be stored. */
  readonly counts = { reconnects: 0, retries: 0 };
  #blobs: Promise<BlobStore> | undefined;
  #connected = true;

  private constructor(source: string, connection: NatsConnection, manager: JetStreamManager, bucket: KV) {
    this.source = source;
    this.#connection = connection;
    this.#manager = manager;
    this.#jetStream = connection.jetstream();
    this.enclaves = new EnclaveStore(connection, bucket);
    this.warnings = new Warnings(source, connection, this.#jetStream);
    void this.onConnectionChange((connected) => {
      this.#connected = connected;
      if (connected) this.counts.reconnects += 1;
    });
  }

  /** Whether the server is there, as far as this end knows. */
  get isConnected(): boolean {
    return this.#connected && !this.#connection.isClosed();
  }

  /** Connects, and makes streams and bucket where they are missing. Errors: `BUS_UNREACHABLE`, `BUS_REFUSED`, `BUS_CREDENTIALS_INVALID`. */
  static async connect(options: BusOptions): Promise<Bus> {
    const credentials =
      typeof options.credentials === 'string' ? await readCredentials(options.credentials) : options.credentials;
    const connection = await open(options.source, credentials);
    try {
      const manager = await connection.jetstreamManager();
      await ensureStreams(manager);
      const bucket = await connection.jetstream().views.kv(ENCLAVE_BUCKET, { history: 1, storage: StorageType.File });
      return new Bus(options.source, connection, manager, bucket);
    } catch (cause) {
      await connection.close();
      throw new BusError(
        {
          code: 'BUS_REFUSED',
          message: `the NATS server has no usable JetStream: ${(cause as Error).message}`,
          remedy: 'start nats-server with JetStream on (-js, or a jetstream block in its configuration)',
        },
        { cause },
      );
    }
  }

  /** What enclaves keep outside; the bucket is made with the first use. */
  blobs(): Promise<BlobStore> {
    this.#blobs ??= this.#openBlobs().catch((error) => {
      this.#blobs = undefined;
      throw error;
    });
    return this.#blobs;
  }

  async #openBlobs(): Promise<BlobStore> {
    const bucket = await this.#jetStream.views.kv(BLOB_BUCKET, {
      history: 1,
      storage: StorageType.File,
      ttl: limits.blobDays * 86_400_000,
      max_bytes: limits.blobBytes,
      maxValueSize: limits.blobValueBytes,
    });
    return new BlobStore(bucket, { maxKeys: limits.blobKeys });
  }

  /** Publishes a lifecycle event; resolves once the server has stored it. */
  async publishEvent<N extends EnclaveEventName>(id: string, name: N, data: EnclaveEventData<N>): Promise<void> {
    const payload = encodeCloudEvent(this.source, `enclaver.v1.enclave.${name}`, enclaveEventSchemas[name].parse(data));
    await this.#publishStored(subjects.enclaveEvent(id, name), payload);
  }

  /** Lifecycle events from now on, or from the oldest kept with `replay`. Ends when the loop is left or the bus closes. */
  events(query: EventQuery = {}): AsyncIterable<EnclaveEvent> & { close(): Promise<void>; ready: Promise<void> } {
    return watchEvents(this.#jetStream, query);
  }

  /** Publishes log lines; resolves once the server has stored them. */
  async publishLog(id: string, stream: LogStreamName, batch: LogBatch): Promise<void> {
    const payload = encodeCloudEvent(this.source, `enclaver.v1.log.${stream}`, logBatchSchema.parse(batch));
    await this.#publishStored(subjects.log(id, stream), payload);
  }

  /** The newest batch kept of each stream of one enclave's log: where a reader that restarts goes on. */
  lastLogs(id: string): Promise<LogMessage[]> {
    return lastLogs(this.#manager, id);
  }

  /** Log lines of one enclave, the kept ones first; with `follow` it goes on. */
  logs(query: LogQuery): AsyncIterable<LogMessage> & { close(): Promise<void>; ready: Promise<void> } {
    return watchLogs(this.#jetStream, this.#manager, query);
  }

  publishBuildProgress(buildId: string, progress: BuildProgress): void {
    this.#connection.publish(
      subjects.buildProgress(buildId),
      encodeCloudEvent(this.source, 'enclaver.v1.build.progress', buildProgressSchema.parse(progress)),
    );
  }

  /** Calls `onProgress` for each progress message of a build until the returned function is called. */
  async onBuildProgress(buildId: string, onProgress: (progress: BuildProgress) => void): Promise<() => void> {
    const subscription = this.#connection.subscribe(subjects.buildProgress(buildId), {
      callback: (error, message) => {
        if (error === null) onProgress(decodeCloudEvent(message.data, buildProgressSchema).data);
      },
    });
    // A request sent right after must not overtake the subscription
    await this.#connection.flush();
    return () => subscription.unsubscribe();
  }

  /** Sends a request to a service. Errors: the service's own; `BUS_NO_SERVICE`; `BUS_TIMEOUT`; `BUS_SERVICE_LOST`. */
  async request<S extends ServiceName, O extends OperationName<S>>(
    service: S,
    operation: O,
    request: OperationRequest<S, O>,
  ): Promise<OperationResponse<S, O>> {
    const { long = false, ...schemas } = operations[service][operation] as {
      request: z.ZodType;
      response: z.ZodType;
      long?: boolean;
    };
    const subject = subjects.operation(service, operation);
    const payload = encodeCloudEvent(this.source, `${subject}.request`, schemas.request.parse(request));
    const timeout = long ? limits.longTimeoutMs : limits.requestTimeoutMs;
    const answer = this.#connection.request(subject, payload, { timeout }).catch((cause: unknown) => {
      throw requestError(service, operation, timeout, cause);
    });
    const reply = await (long ? whilePresent(this.#connection, service, answer) : answer);
    if (reply.headers?.hasError || reply.headers?.get('Nats-Service-Error-Code')) {
      throw new BusError(decodeCloudEvent(reply.data, errorDataSchema).data);
    }
    return decodeCloudEvent(reply.data, schemas.response).data as OperationResponse<S, O>;
  }

  /** Answers a service's requests until the bus closes; visible to `nats micro ls`. */
  async serve<S extends ServiceName>(service: S, version: string, handlers: OperationHandlers<S>): Promise<void> {
    await serveOperations(this.#connection, this.source, service, version, handlers);
  }

  /** Makes a service that answers no requests visible to `nats micro ls` and to `services`. */
  async announce(service: string, version: string): Promise<void> {
    await this.#connection.services.add({ name: `${SERVICE_PREFIX}${service}`, version });
    await this.#connection.flush();
  }

  /** Names of the services that answer a ping. */
  async services(): Promise<string[]> {
    return (await presentServices(this.#connection)).map(({ name }) => name.slice(SERVICE_PREFIX.length));
  }

  /** Resolves when the connection is closed for good, with the reason if it was not our wish. */
  closed(): Promise<Error | undefined> {
    return this.#connection.closed().then((error) => error ?? undefined);
  }

  /** Finishes what is under way, then closes. */
  async close(): Promise<void> {
    this.warnings.close();
    if (this.#connection.isClosed()) return;
    await this.#connection.drain();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Publishes until the server has stored it. One message id for all attempts: the server keeps only the first that arrives. */
  async #publishStored(subject: string, payload: Buffer): Promise<void> {
    const msgID = randomUUID();
    const store = () => this.#jetStream.publish(subject, payload, { msgID });
    await untilStored(this.#connection, store, () => {
      this.counts.retries += 1;
    });
  }

  /** Calls `listener` with `false` when the server is lost and `true` when it is back. */
  async onConnectionChange(listener: (connected: boolean) => void): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === Events.Disconnect) listener(false);
      if (status.type === Events.Reconnect) listener(true);
    }
  }
}

async function open(source: string, credentials: BusCredentials): Promise<NatsConnection> {
  try {
    return await connect({
      servers: credentials.url,
      name: source,
      ...(credentials.user === undefined ? {} : { user: credentials.user }),
      ...(credentials.password === undefined ? {} : { pass: credentials.password }),
      timeout: limits.connectTimeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 250,
    });
  } catch (cause) {
    const refused = cause instanceof NatsError && cause.code === ErrorCode.AuthorizationViolation;
    throw new BusError(
      refused
        ? {
            code: 'BUS_REFUSED',
            message: `the NATS server at ${credentials.url} refused the credentials`,
            remedy: 'use the credentials file of the stack that runs this server',
          }
        : {
            code: 'BUS_UNREACHABLE',
            message: `no NATS server answers at ${credentials.url}: ${(cause as Error).message}`,
            remedy:
              'start the stack with `enclaver up`, or leave ENCLAVER_BUS unset to have `enclaver run` start its own',
          },
      { cause },
    );
  }
}

async function ensureStreams(manager: JetStreamManager): Promise<void> {
  await ensureStream(manager, {
    name: EVENT_STREAM,
    subjects: [subjects.enclaveEvents()],
    max_msgs: limits.eventMessages,
    max_bytes: limits.eventBytes,
  });
  await ensureStream(manager, { name: LOG_STREAM, subjects: [subjects.logs()], max_bytes: limits.logBytes });
}

async function ensureStream(
  manager: JetStreamManager,
  config: Partial<StreamConfig> & { name: string },
): Promise<void> {
  const wanted = {
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    storage: StorageType.File,
    ...config,
  };
  // Several services start at once: adding a stream that is there with the same configuration is no error to the server
  await manager.streams.add(wanted);
}

function requestError(service: string, operation: string, timeoutMs: number, cause: unknown): BusError {
  const code = cause instanceof NatsError ? cause.code : undefined;
  if (code === ErrorCode.NoResponders) {
    return new BusError(
      {
        code: 'BUS_NO_SERVICE',
        message: `no ${service} answers on the bus`,
        remedy: `start it: \`enclaver up\` runs all services, \`docker compose up ${service}\` this one`,
      },
      { cause },
    );
  }
  if (code === ErrorCode.Timeout) {
    return new BusError(
      { code: 'BUS_TIMEOUT', message: `${service} did not answer ${operation} within ${timeoutMs} ms` },
      { cause },
    );
  }
  return new BusError(
    { code: 'BUS_UNREACHABLE', message: `request to ${service} failed: ${(cause as Error).message}` },
    { cause },
  );
}
