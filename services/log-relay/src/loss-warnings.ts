import type { EnclaveRecord, Warnings } from '@enclaver/bus';
import { limits } from './limits.ts';

/** Warns of lines that are lost before they reach the bus, a warning for each enclave, until none was lost for a while. */
export class LossWarnings {
  readonly #warnings: Pick<Warnings, 'raise' | 'clear'>;
  readonly #lost = new Map<string, { lines: number; quiet: NodeJS.Timeout; telling: NodeJS.Timeout | undefined }>();

  constructor(warnings: Pick<Warnings, 'raise' | 'clear'>) {
    this.#warnings = warnings;
  }

  add({ id, name }: Pick<EnclaveRecord, 'id' | 'name'>, lines: number): void {
    const known = this.#lost.get(id);
    clearTimeout(known?.quiet);
    const quiet = setTimeout(() => this.#clear(id), limits.lossQuietMs).unref();
    const entry = known ?? { lines: 0, quiet, telling: undefined };
    this.#lost.set(id, entry);
    entry.lines += lines;
    entry.quiet = quiet;
    if (known === undefined) this.#raise(id, name);
    // A flood loses lines many times a second, and each new text of a warning is written to the bus
    else entry.telling ??= setTimeout(() => this.#raise(id, name), limits.lossTellMs).unref();
  }

  /** Of this process; what others raise is theirs. */
  close(): void {
    for (const { quiet, telling } of this.#lost.values()) {
      clearTimeout(quiet);
      clearTimeout(telling);
    }
  }

  #raise(id: string, name: string): void {
    const entry = this.#lost.get(id);
    if (entry === undefined) return;
    entry.telling = undefined;
    this.#warnings.raise({
      code: 'LOG_LINES_LOST',
      severity: 'warning',
      enclave: id,
      message: `${entry.lines} log ${entry.lines === 1 ? 'line' : 'lines'} of ${name} did not reach the bus`,
      remedy:
        'let the app write less, or give the host more processor time; if the log-relay was away, keep it running',
    });
  }

  #clear(id: string): void {
    clearTimeout(this.#lost.get(id)?.telling);
    this.#lost.delete(id);
    this.#warnings.clear('LOG_LINES_LOST', id);
  }
}
