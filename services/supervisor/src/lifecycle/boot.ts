import type { Logger } from 'pino';
import type { Machine } from '../backends/backend.ts';
import type { Limits } from '../limits.ts';
import { SupervisorError } from '../supervisor-error.ts';
import type { Life } from './life.ts';
import type { Timers } from './timers.ts';

export interface BootOptions {
  life: Life;
  /** Starts a machine. */
  launch: () => Promise<Machine>;
  /** Whether no machine shall be started any more, by us. */
  isOver: () => boolean;
  timers: Timers;
  limits: Limits;
  logger: Logger;
  consoleLines: () => string[];
  /** Called with a machine that gave no sign of life, before it is ended: its end is no news. */
  onDiscard: (machine: Machine) => void;
}

/** Starts a machine, a second one if the first hangs. True when one has booted; an enclave that ended meanwhile starts nothing. */
export async function boot(options: BootOptions): Promise<boolean> {
  const { life, limits, logger } = options;
  for (let turn = 1; turn <= limits.boots; turn += 1) {
    if (options.isOver()) return false;
    const machine = await options.launch();
    if (await beats(machine, options)) {
      if (life.advance('booted')) logger.info({ boot: turn }, 'enclave booted');
      return true;
    }
    if (life.ended) return false;
    logger.warn({ boot: turn, console: options.consoleLines() }, 'no sign of life: the machine is ended');
    options.onDiscard(machine);
    await machine.kill();
  }
  const message = `the enclave's kernel gave no sign of life within ${limits.heartbeatMs} ms, ${limits.boots} times`;
  life.fail(new SupervisorError('BOOT_TIMEOUT', message));
  return false;
}

/** True when init has reported, false when the enclave is over or time is up. */
async function beats({ booted }: Machine, { life, timers, limits }: BootOptions): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = timers.after(limits.heartbeatMs, () => late.resolve(false));
  const over = life.over.then(() => false as const);
  const beating = await Promise.race([booted.then(() => true as const), over, late.promise]);
  timers.clear(timer);
  return beating;
}
