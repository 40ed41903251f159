import { randomUUID } from 'node:crypto';
import { traced } from '@enclaver/telemetry';
import {
  ErrorCode,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  type JetStreamPublishOptions,
  type KV,
  type NatsConnection,
  NatsError,
} from 'nats';
import type * as z from 'zod';
import { BlobStore } from './blob-store.ts';
import { BusError, errorDataSchema } from './bus-error.ts';
import { decodeCloudEvent, encodeCloudEvent } from './cloud-event.ts';
import { denied, openConnection, requestError } from './connection.ts';
import { type BusCredentials, readCredentials } from './credentials.ts';
import { EnclaveStore } from './enclave-store.ts';
import { EventStore } from './event-store.ts';
import { type EventQuery, watchEvents } from './event-watch.ts';
import {
  type EnclaveEvent,
  type EnclaveEventData,
  type EnclaveEventName,
  enclaveEventSchemas,
  enclaveEventType,
} from './events.ts';
import { Lease, type LeaseOptions } from './lease.ts';
import { limits } from './limits.ts';
import { LogStore } from './log-store.ts';
import { type LogQuery, LogWatch } from './log-watch.ts';
import type { LogBatch, LogKind } from './logs.ts';
import {
  type BuildProgress,
  buildProgressSchema,
  type OperationName,
  type OperationRequest,
  type OperationResponse,
  operations,
  type ServiceName,
} from './operations.ts';
import { isBusUser, mayMakeStorage, readableStorage } from './permissions.ts';
import { MAX_FILE_STORE } from './server-config.ts';
import { type OperationHandlers, SERVICE_METADATA, SERVICE_PREFIX, serveOperations } from './service-host.ts';
import { type PresentService, presentServices, serviceStates, whilePresent } from './service-presence.ts';
import { bucketStream, makeStorage, openBucket, WRONG_REVISION, waitForStorage } from './storage.ts';
import { StoredWrites } from './stored-writes.ts';
import { BLOB_BUCKET, ENCLAVE_BUCKET, LEASE_BUCKET, subjects } from './subjects.ts';
import { traceHeaders } from './trace-headers.ts';
import { Warnings } from './warnings.ts';

/** In bytes. */
export interface Room {
  used: number;
  max: number;
}

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
  readonly #writes: StoredWrites;
  readonly #listeners = new Set<(error: BusError) => void>();
  /** State of the enclaves, one key each. */
  readonly enclaves: EnclaveStore;
  /** What is not as it should be, of this process and of all. */
  readonly warnings: Warnings;
  #reconnects = 0;
  /** The log messages kept of all enclaves, for the log-relay. */
  readonly logStore: LogStore;
  #connected = true;

  private constructor(source: string, connection: NatsConnection, manager: JetStreamManager, bucket: KV) {
    this.source = source;
    this.#connection = connection;
    this.#manager = manager;
    this.#jetStream = connection.jetstream();
    this.#writes = new StoredWrites(connection);
    this.enclaves = new EnclaveStore(this.#writes, manager, bucket);
    this.logStore = new LogStore(connection, manager, this.#writes, (error) => this.#refused(error));
    this.warnings = new Warnings(source, connection, this.#jetStream, this.#writes);
    void this.onConnectionChange((connected) => {
      this.#connected = connected;
      if (!connected) {
        this.#writes.disconnected();
        return;
      }
      this.#reconnects += 1;
      this.#writes.reconnected();
    });
    void connection.closed().then(() => this.#writes.reconnected());
    void this.#watchDenied();
  }

  /** Whether the server is there, as far as this end knows. */
  get isConnected(): boolean {
    return this.#connected && !this.#connection.isClosed();
  }

  /** False when the server is there and has not stored for a while what it was given, as when its disk is full. */
  get isStoring(): boolean {
    return !this.isConnected || this.#writes.stalledMs < limits.storeStalledMs;
  }

  /** Since the start: connections taken up again, and what had to be sent again to be stored. */
  get counts(): { reconnects: number; retries: number } {
    return { reconnects: this.#reconnects, retries: this.#writes.retries };
  }

  /**
   * Connects. Who may make streams and buckets makes what is missing, the others wait for what they read.
   * Errors: `BUS_UNREACHABLE`, `BUS_REFUSED`, `BUS_CREDENTIALS_INVALID`, `BUS_NOT_READY`, `BUS_NOT_STORING`.
   */
  static async connect(options: BusOptions): Promise<Bus> {
    const credentials =
      typeof options.credentials === 'string' ? await readCredentials(options.credentials) : options.credentials;
    const connection = await openConnection(options.source, credentials);
    try {
      const manager = await connection.jetstreamManager();
      if (isBusUser(credentials.user) && !mayMakeStorage(credentials.user)) {
        await waitForStorage(manager, readableStorage(credentials.user));
      } else await makeStorage(manager);
      const bucket = await openBucket(connection.jetstream(), ENCLAVE_BUCKET);
      return new Bus(options.source, connection, manager, bucket);
    } catch (cause) {
      await connection.close();
      if (cause instanceof BusError) throw cause;
      if (cause instanceof NatsError && cause.code === ErrorCode.Timeout) {
        const message = 'the NATS server is there, and what it stores with does not answer';
        const remedy = 'see its log; where its disk was full make room and restart it: docs/bus.md';
        throw new BusError({ code: 'BUS_NOT_STORING', message, remedy }, { cause });
      }
      throw new BusError(
        {
          code: 'BUS_REFUSED',
          message: `the NATS server has no usable JetStream: ${(cause as Error).message}`,
          remedy:
            'start nats-server with JetStream on (-js, or a jetstream block in its configuration); where its disk was full, make room and restart it',
        },
        { cause },
      );
    }
  }

  /** Is the only `name` of this bus, as long as it lives; see `Lease.take`. */
  async lease(name: string, options: LeaseOptions): Promise<Lease> {
    return await Lease.take(await openBucket(this.#jetStream, LEASE_BUCKET), this.#writes, name, options);
  }

  /** What enclaves keep outside. */
  async blobs(): Promise<BlobStore> {
    return new BlobStore(this.#manager, await openBucket(this.#jetStream, BLOB_BUCKET), { maxKeys: limits.blobKeys });
  }

  /** Publishes a lifecycle event; resolves once the server has stored it. */
  async publishEvent<N extends EnclaveEventName>(id: string, name: N, data: EnclaveEventData<N>): Promise<void> {
    const checked = enclaveEventSchemas[name].parse(data);
    const payload = encodeCloudEvent(this.source, enclaveEventType(name), checked, id);
    await this.#publishStored(subjects.enclaveEvent(id, name), payload);
  }

  /** The same for an event that an enclave has once at most: nothing happens where it was published before, by whomever. */
  async publishEventOnce<N extends EnclaveEventName>(id: string, name: N, data: EnclaveEventData<N>): Promise<void> {
    const checked = enclaveEventSchemas[name].parse(data);
    await this.#publishNext(
      subjects.enclaveEvent(id, name),
      encodeCloudEvent(this.source, enclaveEventType(name), checked, id),
      0,
    );
  }

  /** Lifecycle events from now on, or from the oldest kept with `replay`. Ends when the loop is left or the bus closes. */
  events(query: EventQuery = {}): AsyncIterable<EnclaveEvent> & { close(): Promise<void>; ready: Promise<void> } {
    return watchEvents(this.#jetStream, this.#manager, query, {
      refused: (error) => this.#refused(error),
      // What is asked while the server is away is lost: the client drops it when it connects
      persist: (open) => this.#writes.until(open),
    });
  }

  /** The events that are kept, for one who must not lose any. */
  get eventStore(): EventStore {
    return new EventStore(this.#connection, this.#manager, this.#writes, (error) => this.#refused(error));
  }

  /**
   * Publishes log lines behind the message at `after`, 0 for the first ones of this enclave and kind. Resolves once the server has
   * stored them, with their position and what they take there in bytes; with undefined where the message of another is behind it
   * already.
   */
  async publishLog(
    id: string,
    kind: LogKind,
    batch: LogBatch,
    after: number,
  ): Promise<{ position: number; bytes: number } | undefined> {
    const payload = encodeCloudEvent(this.source, `enclaver.v1.log.${kind}`, batch, id);
    const position = await this.#publishNext(subjects.log(id, kind), payload, after);
    return position === undefined ? undefined : { position, bytes: payload.length };
  }

  /** Log lines of one enclave, the kept ones first; with `follow` it goes on. */
  logs(query: LogQuery): LogWatch {
    return new LogWatch(this.#connection, this.#manager, this.#writes, query, (error) => this.#refused(error));
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
        if (error !== null || message.subject !== subjects.buildProgress(buildId)) return;
        try {
          onProgress(decodeCloudEvent(message.data, buildProgressSchema).data);
        } catch (invalid) {
          // What is thrown here would end the client's reading from the server
          if (!(invalid instanceof BusError)) throw invalid;
          this.#refused(invalid);
        }
      },
    });
    // A request sent right after must not overtake the subscription
    await this.#connection.flush();
    return () => subscription.unsubscribe();
  }

  /** Sends a request to a service. Errors: the service's own; `BUS_NO_SERVICE`; `BUS_TIMEOUT`; `BUS_SERVICE_LOST`. */
  request<S extends ServiceName, O extends OperationName<S>>(
    service: S,
    operation: O,
    request: OperationRequest<S, O>,
  ): Promise<OperationResponse<S, O>> {
    return traced(`${service}.${operation}`, { kind: 'client' }, () => this.#request(service, operation, request));
  }

  async #request<S extends ServiceName, O extends OperationName<S>>(
    service: S,
    operation: O,
    request: OperationRequest<S, O>,
  ): Promise<OperationResponse<S, O>> {
    const schemas = operations[service][operation] as { request: z.ZodType; response: z.ZodType; long?: boolean };
    const subject = subjects.operation(service, operation);
    const payload = encodeCloudEvent(this.source, `${subject}.request`, schemas.request.parse(request));
    const timeout = schemas.long ? limits.longTimeoutMs : limits.requestTimeoutMs;
    const answer = this.#connection
      .request(subject, payload, { timeout, ...traceHeaders() })
      .catch((cause: unknown) => {
        throw requestError(service, operation, timeout, cause);
      });
    const reply = await (schemas.long ? whilePresent(this.#connection, service, answer) : answer);
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
    await this.#connection.services.add({ name: `${SERVICE_PREFIX}${service}`, version, metadata: SERVICE_METADATA });
    await this.#connection.flush();
  }

  /** Bytes that the bus keeps and may keep: all of it, and of that what enclaves have sealed. */
  async storageUse(): Promise<{ all: Room; blobs: Room }> {
    const { storage, limits: bounds } = await this.#manager.getAccountInfo();
    const blobs = await this.#manager.streams.info(bucketStream(BLOB_BUCKET));
    // Without a bound on the account it is that of the server, which our configuration gives it
    const max = (bounds.max_storage ?? -1) > 0 ? bounds.max_storage : MAX_FILE_STORE;
    return { all: { used: storage, max }, blobs: { used: blobs.state.bytes, max: blobs.config.max_bytes } };
  }

  /** Names of the services that answer a ping. */
  async services(): Promise<string[]> {
    return (await presentServices(this.#connection)).map(({ name }) => name.slice(SERVICE_PREFIX.length));
  }

  /** The processes of ours that answer now, with version and start. */
  serviceStates(): Promise<PresentService[]> {
    return serviceStates(this.#connection);
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
  #publishStored(subject: string, payload: Buffer): Promise<number> {
    return this.#store(subject, payload, { msgID: randomUUID() });
  }

  /** Publishes behind the message at `after`, the last one of this subject; undefined where that is another. */
  #publishNext(subject: string, payload: Buffer, after: number): Promise<number | undefined> {
    const options = { msgID: randomUUID(), expect: { lastSubjectSequence: after } };
    return this.#store(subject, payload, options).catch((error: unknown) => {
      if (error instanceof NatsError && error.api_error?.err_code === WRONG_REVISION) return undefined;
      throw error;
    });
  }

  async #store(subject: string, payload: Buffer, options: Partial<JetStreamPublishOptions>): Promise<number> {
    const store = () => this.#jetStream.publish(subject, payload, { ...options, ...traceHeaders() });
    const { seq } = await this.#writes.until(store).catch((error: unknown) => {
      if (!(error instanceof NatsError) || error.code !== ErrorCode.PermissionsViolation) throw error;
      throw denied(error.permissionContext, error);
    });
    return seq;
  }

  /**
   * Calls `listener` with what nobody waits for and was refused: `BUS_DENIED`, the server's refusal of a subject;
   * `BUS_MESSAGE_INVALID`, an event, a message of a log or of a build's progress that is none. Returns how to end that.
   */
  onRefused(listener: (error: BusError) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #refused(error: BusError): void {
    for (const listener of this.#listeners) listener(error);
  }

  async #watchDenied(): Promise<void> {
    for await (const { type, data, permissionContext } of this.#connection.status()) {
      if (type === Events.Error && data === ErrorCode.PermissionsViolation) this.#refused(denied(permissionContext));
    }
  }

  /** Calls `listener` with `false` when the server is lost and `true` when it is back. */
  async onConnectionChange(listener: (connected: boolean) => void): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === Events.Disconnect) listener(false);
      if (status.type === Events.Reconnect) listener(true);
    }
  }
}
