import { consumerOpts, type JetStreamClient, type JetStreamManager, type JsMsg } from 'nats';
import type * as z from 'zod';
import { BusError } from './bus-error.ts';
import { decodeCloudEvent } from './cloud-event.ts';
import { type EnclaveEvent, enclaveEventSchemas, enclaveEventType, isEnclaveEventName } from './events.ts';
import { limits } from './limits.ts';
import { StreamWatch } from './stream-watch.ts';
import { EVENT_STREAM, subjects } from './subjects.ts';
import { traceparentOf } from './trace-headers.ts';

export interface EventQuery {
  /** Only this enclave's. */
  id?: string;
  /** Start at the oldest event kept, not at the present. */
  replay?: boolean;
  /** `false`, with `replay`: end with the newest event kept. */
  follow?: boolean;
}

export interface EventWatchTools {
  /** Is told of each message under these subjects that is no event of ours; the watch goes on behind it. */
  refused: (error: BusError) => void;
  /** Repeats what the server's absence has made fail. */
  persist: <T>(ask: () => Promise<T>) => Promise<T>;
}

export function watchEvents(
  jetStream: JetStreamClient,
  manager: JetStreamManager,
  query: EventQuery,
  { refused, persist }: EventWatchTools,
): StreamWatch<EnclaveEvent> {
  let first = 1;
  const open = async () => {
    if (query.replay !== true) first = (await manager.streams.info(EVENT_STREAM)).state.last_seq + 1;
    if (query.follow === false && (await isEmpty(manager, query.id))) return undefined;
    const options = consumerOpts().bindStream(EVENT_STREAM).orderedConsumer();
    return jetStream.subscribe(
      subjects.enclaveEvents(query.id),
      options.startSequence(first).idleHeartbeat(limits.heartbeatMs),
    );
  };
  const map = (message: JsMsg): EnclaveEvent | undefined => {
    // A consumer that the server has forgotten before its first message is made anew from the oldest one
    if (message.seq < first) return undefined;
    try {
      const event = decodeEvent(message.subject, message.data);
      const traceparent = traceparentOf(message);
      return event === undefined || traceparent === undefined ? event : { ...event, traceparent };
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      refused(error);
      return undefined;
    }
  };
  return new StreamWatch(
    () => persist(open),
    map,
    ({ info }) => query.follow === false && info.pending === 0,
  );
}

/** Undefined for events that this version does not know: those of a newer supervisor are not for it. */
export function decodeEvent(subject: string, data: Uint8Array): EnclaveEvent | undefined {
  const [id, name] = subject.split('.').slice(-2);
  if (id === undefined || name === undefined || !isEnclaveEventName(name)) return undefined;
  const event = decodeCloudEvent(data, enclaveEventSchemas[name] as z.ZodType, enclaveEventType(name));
  return { id, name, time: event.time, source: event.source, data: event.data } as EnclaveEvent;
}

async function isEmpty(manager: JetStreamManager, id: string | undefined): Promise<boolean> {
  const { state } = await manager.streams.info(EVENT_STREAM, { subjects_filter: subjects.enclaveEvents(id) });
  return Object.keys(state.subjects ?? {}).length === 0;
}
