import type { Bus, LogLine, LogStreamName } from '../src/index.ts';

/** Publishes lines of one stream, or a loss, behind what there is, as the log-relay does; returns where they are on the bus. */
export async function publishLines(
  bus: Bus,
  id: string,
  stream: Exclude<LogStreamName, 'lost'>,
  lines: readonly Omit<LogLine, 'stream'>[],
  more: { name?: string; lost?: number } = {},
): Promise<number> {
  const kind = stream === 'console' ? 'console' : 'records';
  const { position: after } = await bus.logStore.last(id, kind);
  const own = stream === 'console' ? [...lines] : lines.map((line) => ({ ...line, stream }));
  const stored = await bus.publishLog(id, kind, { ...more, lines: own }, after);
  if (stored === undefined) throw new Error('another one publishes, too');
  return stored.position;
}
