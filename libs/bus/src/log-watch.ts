import { consumerOpts, type JetStreamClient, type JetStreamManager, type JetStreamSubscription } from 'nats';
import { decodeCloudEvent } from './cloud-event.ts';
import { isLogStreamName, type LogMessage, type LogStreamName, logBatchSchema } from './logs.ts';
import { StreamWatch } from './stream-watch.ts';
import { LOG_STREAM, subjects } from './subjects.ts';

export interface LogQuery {
  id: string;
  /** Go on with the lines to come; without it the watch ends with the last line kept. */
  follow?: boolean;
  /** Only this stream; all of them without it. */
  stream?: LogStreamName;
}

export function watchLogs(
  jetStream: JetStreamClient,
  manager: JetStreamManager,
  query: LogQuery,
): StreamWatch<LogMessage> {
  let last = Number.POSITIVE_INFINITY;
  const open = async (): Promise<JetStreamSubscription | undefined> => {
    const filter = query.stream === undefined ? subjects.logs(query.id) : subjects.log(query.id, query.stream);
    if (query.follow !== true) {
      last = await lastSequence(manager, filter);
      if (last === 0) return undefined;
    }
    return jetStream.subscribe(filter, consumerOpts().bindStream(LOG_STREAM).orderedConsumer().deliverAll());
  };
  return new StreamWatch(open, decodeLog, (message) => message.seq >= last);
}

function decodeLog(message: { subject: string; data: Uint8Array }): LogMessage | undefined {
  const [id, stream] = message.subject.split('.').slice(-2);
  if (id === undefined || stream === undefined || !isLogStreamName(stream)) return undefined;
  return { id, stream, ...decodeCloudEvent(message.data, logBatchSchema).data };
}

/** The newest batch kept of each stream of one enclave. */
export async function lastLogs(manager: JetStreamManager, id: string): Promise<LogMessage[]> {
  const info = await manager.streams.info(LOG_STREAM, { subjects_filter: subjects.logs(id) });
  const newest: LogMessage[] = [];
  for (const subject of Object.keys(info.state.subjects ?? {})) {
    const stored = await manager.streams.getMessage(LOG_STREAM, { last_by_subj: subject });
    const message = stored === null ? undefined : decodeLog(stored);
    if (message !== undefined) newest.push(message);
  }
  return newest;
}

/** Stream sequence of the last message kept under `filter`, 0 for none. */
async function lastSequence(manager: JetStreamManager, filter: string): Promise<number> {
  const info = await manager.streams.info(LOG_STREAM, { subjects_filter: filter });
  let last = 0;
  for (const subject of Object.keys(info.state.subjects ?? {})) {
    const message = await manager.streams.getMessage(LOG_STREAM, { last_by_subj: subject });
    last = Math.max(last, message?.seq ?? 0);
  }
  return last;
}
