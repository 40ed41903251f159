import { type LogEntry, logBytes } from '@enclaver/bus';
import { lostText } from './entry-text.ts';
import { type EntryGroup, type Sink, SinkError } from './sink.ts';
import { severityOf } from './syslog-message.ts';
import { UnixDatagrams } from './unix-datagrams.ts';

/**
 * systemd's journal, by its native protocol (systemd, JOURNAL_NATIVE_PROTOCOL): a datagram for each line, of some 17 KiB at
 * most, well below what a datagram may hold. At least once: after a crash up to a second is sent again.
 */
export class JournaldSink implements Sink {
  readonly #path: string;
  readonly #datagrams: UnixDatagrams;

  constructor(path: string) {
    this.#path = path;
    this.#datagrams = new UnixDatagrams(path);
  }

  async write(groups: readonly EntryGroup[], signal: AbortSignal): Promise<number> {
    try {
      return await this.#datagrams.send(
        groups.flatMap(({ entries }) => entries.map(journalEntry)),
        signal,
      );
    } catch (error) {
      throw new SinkError(`${this.#path}: ${(error as Error).message}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#datagrams.close();
  }
}

function journalEntry(entry: LogEntry): Buffer {
  const fields: [string, Buffer | string | number][] = [
    ['MESSAGE', entry.lost === undefined ? logBytes(entry) : lostText(entry.lost)],
    ['PRIORITY', severityOf(entry)],
    ['SYSLOG_IDENTIFIER', entry.name],
    ['ENCLAVER_ID', entry.enclave],
    ['ENCLAVER_NAME', entry.name],
    ['ENCLAVER_STREAM', entry.stream],
    ['ENCLAVER_TIME', entry.time],
  ];
  if (entry.sequence !== undefined) fields.push(['ENCLAVER_SEQUENCE', entry.sequence]);
  if (entry.continues === true) fields.push(['ENCLAVER_CONTINUES', 1]);
  if (entry.lost !== undefined) fields.push(['ENCLAVER_LOST', entry.lost]);
  return Buffer.concat(
    fields.map(([name, value]) => field(name, Buffer.from(typeof value === 'number' ? `${value}` : value))),
  );
}

/** `NAME=value` and a line end, or where the value may hold one: name, line end, length as 64 bits little-endian, value, line end. */
function field(name: string, value: Buffer): Buffer {
  if (!value.includes(0x0a)) return Buffer.concat([Buffer.from(`${name}=`), value, Buffer.from('\n')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, value, Buffer.from('\n')]);
}
