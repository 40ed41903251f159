import { type Bus, BusError } from '@enclaver/bus';
import type { Logger } from 'pino';

/** Being the one log-relay of a bus that serves a sink. */
export interface SinkLead {
  /** Aborted when another one has it: this one was silent for too long. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/**
 * Waits until no other log-relay serves the sink `key`, so that each line comes to it once. Undefined when `signal` came first. One
 * that is told to end gives way at once, one that is killed on this machine too; else its silence is waited for.
 */
export async function leadSink(
  bus: Bus,
  key: string,
  logger: Logger,
  signal: AbortSignal,
): Promise<SinkLead | undefined> {
  const aborted = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const lost = new AbortController();
    const onLost = (error: BusError): void => {
      logger.warn({ code: error.code, err: error }, 'another log-relay serves the sink now');
      lost.abort();
    };
    const taking = bus.lease(`log-sink.${key}`, { onLost });
    try {
      const lease = await Promise.race([taking, aborted]);
      if (lease !== undefined) return { lost: lost.signal, release: () => lease.release() };
      // It may still come, when nobody waits any more
      void taking.then((late) => late.release()).catch(() => undefined);
    } catch (error) {
      if (!(error instanceof BusError) || error.code !== 'LEASE_HELD') throw error;
      if (attempt === 0) logger.info('another log-relay serves the sink; this one waits for its end');
    }
  }
  return undefined;
}
