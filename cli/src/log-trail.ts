import type { Bus, EnclaveRecord } from '@enclaver/bus';
import { limits } from './limits.ts';
import type { LogPrinter } from './output/logs.ts';

/** The enclaves that had this name, one after the other, as far as they are remembered. */
export async function enclavesOfName(bus: Bus, name: string): Promise<EnclaveRecord[]> {
  const started = ({ times }: EnclaveRecord): string => times.requested ?? '';
  const records = await bus.enclaves.list();
  return records.filter((record) => record.name === name).sort((a, b) => started(a).localeCompare(started(b)));
}

/**
 * Waits until an enclave has ended and all of its log is printed; then, until the one that a restart announced is there.
 * Resolves with the id of the one that follows, by a restart or an update; undefined when none does.
 */
export async function untilFollowed(
  bus: Bus,
  { id, name }: EnclaveRecord,
  printer: LogPrinter,
): Promise<string | undefined> {
  const events = bus.events({ id, replay: true });
  let next: { id: string; isThere: boolean; events: ReturnType<Bus['events']> } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let hasEndedItself = false;
  const isOver = (): boolean => hasEndedItself && printer.ended && next?.isThere !== false;
  const closeIfOver = (): void => {
    if (isOver()) void events.close();
  };
  for await (const event of events) {
    if (event.name === 'log-ended') await printer.finish();
    if (event.name === 'exited' || event.name === 'failed' || event.name === 'lost') {
      hasEndedItself = true;
      // The log-relay may be gone and say nothing
      timer = setTimeout(() => void printer.finish().then(closeIfOver), limits.logEndMs);
      const planned = event.data.restart?.id;
      if (planned !== undefined) {
        const coming = { id: planned, isThere: false, events: bus.events({ id: planned, replay: true }) };
        next = coming;
        void untilFirst(coming.events).then(() => {
          coming.isThere = true;
          closeIfOver();
        });
      }
    }
    if (event.name === 'restart-cancelled') {
      await next?.events.close();
      next = undefined;
    }
    if (isOver()) break;
  }
  clearTimeout(timer);
  await next?.events.close();
  const records = await enclavesOfName(bus, name);
  return next?.id ?? records.find(({ previous, replaces }) => previous === id || replaces === id)?.id;
}

/** Resolves with the id of the enclave that an update puts in the place of `id`, once the ports lead to it; undefined after `close`. */
export function untilHandedOver(bus: Bus, id: string): { next: Promise<string | undefined>; close(): Promise<void> } {
  const events = bus.events();
  const next = (async () => {
    for await (const event of events) if (event.name === 'handed-over' && event.data.from === id) return event.data.to;
    return undefined;
  })();
  return { next, close: () => events.close() };
}

async function untilFirst(events: ReturnType<Bus['events']>): Promise<void> {
  for await (const _ of events) return;
}
