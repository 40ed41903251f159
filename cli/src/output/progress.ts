import type { BuildProgress } from '@enclaver/bus';
import { showText } from '@enclaver/eif';

const MIB = 1024 * 1024;
const BAR_CELLS = 24;

/**
 * Shows a build's progress on stderr: one line that is redrawn on a terminal, one plain line per stage elsewhere. Its texts may come
 * from an image, and so are made safe to print.
 */
export class ProgressLine {
  readonly #out: NodeJS.WriteStream;
  #stage = '';
  #drawn = false;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  show(progress: BuildProgress): void {
    const { stage } = progress;
    const text = showText(progress.text ?? '');
    if (this.#out.isTTY) {
      this.#out.write(`\r\x1b[K${describe({ ...progress, text })}`);
      this.#drawn = true;
    } else if (stage !== this.#stage) {
      this.#out.write(`${stage}${text === '' ? '' : ` ${text}`}\n`);
    }
    this.#stage = stage;
  }

  /** Leaves the line clean for what is printed next. */
  end(): void {
    if (this.#drawn) this.#out.write('\r\x1b[K');
    this.#drawn = false;
  }
}

function describe({ stage, text = '', done, total }: BuildProgress): string {
  const head = `${stage.padEnd(8)} ${text}`;
  if (done === undefined) return head;
  const amount = `${(done / MIB).toFixed(1)} MiB`;
  if (total === undefined || total === 0) return `${head} ${amount}`;
  const filled = Math.min(BAR_CELLS, Math.round((done / total) * BAR_CELLS));
  return `${head} [${'#'.repeat(filled).padEnd(BAR_CELLS, '.')}] ${amount} of ${(total / MIB).toFixed(1)} MiB`;
}
