import type { Warnings } from '@enclaver/bus';

const texts = {
  WEBHOOK_DEAD: {
    code: 'WEBHOOK_DEAD',
    message: 'events given up that a webhook did not take',
    remedy: 'mend the target; the warning goes with the next event that it takes',
  },
  WEBHOOK_EVENTS_LOST: {
    code: 'WEBHOOK_EVENTS_LOST',
    message: 'events lost that a webhook was not there to take',
    remedy: 'look at the state of the enclaves with `enclaver ps --all`',
  },
} as const;

/** A warning has one code for all targets: its text names those that it is about. */
export class TargetWarnings {
  readonly #warnings: Pick<Warnings, 'raise' | 'clear'>;
  readonly #targets = new Map<keyof typeof texts, Map<string, string>>();

  constructor(warnings: Pick<Warnings, 'raise' | 'clear'>) {
    this.#warnings = warnings;
  }

  raise(code: keyof typeof texts, target: string, text: string): void {
    const targets = this.#targets.get(code) ?? new Map<string, string>();
    this.#targets.set(code, targets.set(target, text));
    this.#tell(code, targets);
  }

  clear(code: keyof typeof texts, target: string): void {
    const targets = this.#targets.get(code);
    if (targets?.delete(target) === true) this.#tell(code, targets);
  }

  #tell(code: keyof typeof texts, targets: ReadonlyMap<string, string>): void {
    if (targets.size === 0) {
      this.#warnings.clear(code);
      return;
    }
    const named = [...targets].map(([target, text]) => `${target}: ${text}`).join('; ');
    this.#warnings.raise({ ...texts[code], severity: 'error', message: `${texts[code].message}: ${named}` });
  }
}
