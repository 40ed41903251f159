import { consumerOpts, type JetStreamManager, type NatsConnection } from 'nats';
import * as z from 'zod';
import { BusError } from './bus-error.ts';
import { decodeCloudEvent } from './cloud-event.ts';
import { enclaveEventType } from './events.ts';
import { contentOf } from './key-value.ts';
import { limits } from './limits.ts';
import { openBucket } from './storage.ts';
import type { StoredWrites } from './stored-writes.ts';
import { StreamWatch } from './stream-watch.ts';
import { EVENT_STREAM, subjects, WEBHOOK_BUCKET } from './subjects.ts';

/** How far a subscriber has come: all up to `floor` is done, and of those behind it the ones in `done`. */
const eventCursorSchema = z.object({
  /** When the stream was made: positions of another one mean nothing. */
  created: z.string(),
  floor: z.number().int().min(0),
  done: z.array(z.number().int()),
});

export type EventCursor = z.infer<typeof eventCursorSchema>;

/** An event as it was published. */
export interface StoredEvent {
  position: number;
  /** Id of the enclave. */
  enclave: string;
  name: string;
  /** `id` of the CloudEvent: the same again is the same event. */
  id: string;
  /** The CloudEvent, JSON. */
  payload: Uint8Array;
}

/** The lifecycle events that are kept, for one who passes each of them on and must not lose one. */
export class EventStore {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #writes: StoredWrites;
  readonly #refused: (error: BusError) => void;

  constructor(
    connection: NatsConnection,
    manager: JetStreamManager,
    writes: StoredWrites,
    refused: (error: BusError) => void,
  ) {
    this.#connection = connection;
    this.#manager = manager;
    this.#writes = writes;
    this.#refused = refused;
  }

  /** Which stream this is, and the positions of its first and last event. */
  async extent(): Promise<{ created: string; first: number; last: number }> {
    const { created, state } = await this.#manager.streams.info(EVENT_STREAM);
    return { created, first: state.first_seq, last: state.last_seq };
  }

  /** All events behind `position`, those to come too, in order. */
  after(position: number): StreamWatch<StoredEvent> {
    const options = consumerOpts().bindStream(EVENT_STREAM).orderedConsumer();
    options.startSequence(position + 1).idleHeartbeat(limits.heartbeatMs);
    return new StreamWatch(
      () => this.#connection.jetstream().subscribe(subjects.enclaveEvents(), options),
      ({ seq, subject, data }) => {
        if (seq <= position) return undefined;
        const [enclave = '', name = ''] = subject.split('.').slice(-2);
        try {
          const { id } = decodeCloudEvent(data, z.unknown(), enclaveEventType(name));
          return { position: seq, enclave, name, id, payload: data };
        } catch (error) {
          if (!(error instanceof BusError)) throw error;
          this.#refused(error);
          return undefined;
        }
      },
    );
  }

  async cursor(key: string): Promise<EventCursor | undefined> {
    const bucket = await openBucket(this.#connection.jetstream(), WEBHOOK_BUCKET);
    return contentOf(await bucket.get(key), eventCursorSchema);
  }

  /** Resolves once the server has stored it. */
  async putCursor(key: string, cursor: EventCursor): Promise<void> {
    const bucket = await openBucket(this.#connection.jetstream(), WEBHOOK_BUCKET);
    await this.#writes.until(() => bucket.put(key, JSON.stringify(cursor)));
  }
}
