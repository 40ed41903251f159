import type { Logger } from 'pino';
import type { Bus } from './bus.ts';
import { limits } from './limits.ts';

/**
 * Warns while the server is there and stores nothing. The warning cannot be stored either: it is in the log, the metrics and `/readyz`
 * of this process at once, and on the bus when that stores again, if it is still true.
 */
export function watchStoring(bus: Bus, logger: Logger): void {
  let stores = true;
  setInterval(() => {
    if (bus.isStoring === stores) return;
    stores = bus.isStoring;
    const code = 'BUS_NOT_STORING';
    if (stores) logger.info({ code }, 'the bus stores again');
    else logger.error({ code }, 'the bus is there and stores nothing');
    bus.warnings.set(!stores, {
      code,
      severity: 'error',
      message: `nats-server is there and has stored nothing of this service for ${limits.storeStalledMs / 1000} s or more: what happens is told later`,
      remedy: 'see its log; where its disk is full make room and restart it: docs/bus.md',
    });
  }, limits.storeLookMs).unref();
}
