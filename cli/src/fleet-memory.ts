import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { enclaveRecordSchema, isPresent } from '@enclaver/bus';
import type { HostEnclaves } from '@enclaver/bus/fleet';
import * as z from 'zod';

const lastSchema = z.object({ at: z.iso.datetime(), enclaves: z.array(enclaveRecordSchema) });
const fileSchema = z.record(z.string(), lastSchema);

/** The last that a host said to this user. */
type LastSeen = z.infer<typeof lastSchema>;

export type KnownHost = HostEnclaves & { last?: LastSeen };

/**
 * What each host of a fleet answered last, for when it is away: kept by who looks, in a file of their own, since the hub keeps nothing
 * and a copy there would go stale without a word while the wire is cut.
 */
export class FleetMemory {
  readonly #file: string;

  /** `hub`: its address, so that each fleet has a file of its own. */
  constructor(hub: string) {
    const folder = process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? '/', '.cache');
    const name = createHash('sha256').update(hub).digest('hex').slice(0, 16);
    this.#file = join(folder, 'enclaver', `fleet-${name}.json`);
  }

  /** Remembers those that answered, and says of the others what they said last. */
  async complete(hosts: readonly HostEnclaves[], options: { all?: boolean | undefined }): Promise<KnownHost[]> {
    const before = await this.#read();
    const now = new Date().toISOString();
    const kept = hosts.flatMap((one): [string, LastSeen][] => {
      if ('enclaves' in one) return [[one.host, { at: now, enclaves: one.enclaves }]];
      const last = before[one.host];
      return last === undefined ? [] : [[one.host, last]];
    });
    await this.#write(Object.fromEntries(kept));
    return hosts.map((one) => {
      const last = before[one.host];
      if ('enclaves' in one || last === undefined) return one;
      const shown = last.enclaves.filter((enclave) => options.all === true || isPresent(enclave));
      return { ...one, last: { at: last.at, enclaves: shown } };
    });
  }

  /** Of another version, or damaged: as good as none. */
  async #read(): Promise<Record<string, LastSeen>> {
    try {
      return fileSchema.parse(JSON.parse(await readFile(this.#file, 'utf8')));
    } catch {
      return {};
    }
  }

  /** To look must not fail because nothing can be remembered, as where the home folder is read-only. */
  async #write(known: Record<string, LastSeen>): Promise<void> {
    const temporary = `${this.#file}.${process.pid}`;
    try {
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeFile(temporary, JSON.stringify(known), { mode: 0o600 });
      await rename(temporary, this.#file);
    } catch (error) {
      process.stderr.write(`warning: what the hosts said is not remembered: ${(error as Error).message}\n`);
    }
  }
}
