import { consumerOpts, type JetStreamClient } from 'nats';
import type * as z from 'zod';
import { decodeCloudEvent } from './cloud-event.ts';
import { type EnclaveEvent, enclaveEventSchemas, isEnclaveEventName } from './events.ts';
import { StreamWatch } from './stream-watch.ts';
import { subjects } from './subjects.ts';

export interface EventQuery {
  /** Only this enclave's. */
  id?: string;
  /** Start at the oldest event kept, not at the present. */
  replay?: boolean;
}

export function watchEvents(jetStream: JetStreamClient, query: EventQuery): StreamWatch<EnclaveEvent> {
  const options = consumerOpts().orderedConsumer();
  const open = () =>
    jetStream.subscribe(
      subjects.enclaveEvents(query.id),
      query.replay === true ? options.deliverAll() : options.deliverNew(),
    );
  return new StreamWatch(open, (message) => {
    const [id, name] = message.subject.split('.').slice(-2);
    // A newer supervisor may publish events that this reader does not know: they are not for it
    if (id === undefined || name === undefined || !isEnclaveEventName(name)) return undefined;
    const event = decodeCloudEvent(message.data, enclaveEventSchemas[name] as z.ZodType);
    return { id, name, time: event.time, source: event.source, data: event.data } as EnclaveEvent;
  });
}
