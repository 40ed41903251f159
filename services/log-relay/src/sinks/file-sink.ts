import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { limits } from '../limits.ts';
import { type EntryFormat, formatEntries } from './entry-text.ts';
import { LogFile, type Rotation } from './log-file.ts';
import { type EntryGroup, type Sink, SinkError } from './sink.ts';

/** One file for each name of an enclave: a restarted enclave goes on in it. */
export class FileSink implements Sink {
  readonly #folder: string;
  readonly #format: EntryFormat;
  readonly #rotation: Rotation;
  readonly #created: string;
  /** The file that was written last is at the end. */
  readonly #files = new Map<string, LogFile>();

  /** `created` names the stream of messages that positions are of. */
  constructor(folder: string, format: EntryFormat, rotation: Rotation, created: string) {
    this.#folder = folder;
    this.#format = format;
    this.#rotation = rotation;
    this.#created = created;
  }

  async write(groups: readonly EntryGroup[]): Promise<number> {
    try {
      // All entries of a message are of one enclave
      for (const [name, some] of Map.groupBy(groups, ({ entries }) => entries[0]?.name ?? '')) {
        const file = await this.#file(name);
        // What is in it already is given again after a crash, and where another file failed
        const news = some.filter(({ position }) => position > file.position);
        const last = news.at(-1)?.position;
        const entries = news.flatMap((group) => group.entries);
        if (last !== undefined) await file.append(formatEntries(entries, this.#format), last);
      }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      throw new SinkError(`${this.#folder} cannot be written: ${message}`, { cause: error });
    }
    return 0;
  }

  async sync(): Promise<void> {
    for (const file of this.#files.values()) await file.sync();
  }

  /** Somebody has moved the files: the next lines go into new ones. */
  async reopen(): Promise<void> {
    for (const [name, file] of this.#files) {
      this.#files.delete(name);
      await file.close();
    }
  }

  async abandon(): Promise<void> {
    for (const [name, file] of this.#files) {
      this.#files.delete(name);
      await file.abandon();
    }
  }

  close(): Promise<void> {
    return this.reopen();
  }

  async #file(name: string): Promise<LogFile> {
    const known = this.#files.get(name);
    this.#files.delete(name);
    const file = known ?? (await this.#open(name));
    this.#files.set(name, file);
    return file;
  }

  async #open(name: string): Promise<LogFile> {
    const [oldest] = this.#files;
    if (oldest !== undefined && this.#files.size >= limits.openFiles) {
      this.#files.delete(oldest[0]);
      await oldest[1].close();
    }
    await mkdir(this.#folder, { recursive: true, mode: 0o750 });
    return await LogFile.open(join(this.#folder, `${fileName(name)}.log`), this.#rotation, this.#created);
  }
}

/** A name may hold anything but control characters, and two names must not meet in one file. */
export function fileName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return name;
  const readable = name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64);
  return `${readable}~${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
}
