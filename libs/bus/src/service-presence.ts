import { ErrorCode, type NatsConnection, NatsError, RequestStrategy, type ServiceIdentity } from 'nats';
import { BusError } from './bus-error.ts';
import { limits } from './limits.ts';
import { SERVICE_PREFIX } from './service-host.ts';

/** The processes of ours that answer a ping. */
export async function presentServices(connection: NatsConnection): Promise<ServiceIdentity[]> {
  const present: ServiceIdentity[] = [];
  try {
    const client = connection.services.client({ strategy: RequestStrategy.Timer, maxWait: limits.pingMs });
    for await (const identity of await client.ping()) {
      if (identity.name.startsWith(SERVICE_PREFIX)) present.push(identity);
    }
  } catch (error) {
    // On a server where nothing listens yet, no answer is an error
    if (!(error instanceof NatsError) || error.code !== ErrorCode.NoResponders) throw error;
  }
  return present;
}

/** A process of ours on the bus, as it says itself. */
export interface PresentService {
  service: string;
  /** The process's own on the bus. */
  id: string;
  version: string;
  /** ISO 8601. */
  started: string;
}

/** The processes of ours that answer, and since when they run. */
export async function serviceStates(connection: NatsConnection): Promise<PresentService[]> {
  const found: PresentService[] = [];
  try {
    const client = connection.services.client({ strategy: RequestStrategy.Timer, maxWait: limits.pingMs });
    for await (const { name, id, version, started } of await client.stats()) {
      if (!name.startsWith(SERVICE_PREFIX)) continue;
      found.push({ service: name.slice(SERVICE_PREFIX.length), id, version, started });
    }
  } catch (error) {
    // On a server where nothing listens yet, no answer is an error
    if (!(error instanceof NatsError) || error.code !== ErrorCode.NoResponders) throw error;
  }
  return found.sort((a, b) => a.service.localeCompare(b.service) || a.started.localeCompare(b.started));
}

/**
 * Waits for the answer to a long request, but not longer than the service lives: rejects with `BUS_SERVICE_LOST` when none
 * of its processes that were there at the start answers pings any more. A successor does not know the request.
 */
export async function whilePresent<T>(connection: NatsConnection, service: string, answer: Promise<T>): Promise<T> {
  const name = `${SERVICE_PREFIX}${service}`;
  const over = new AbortController();
  const lost = (async (): Promise<never> => {
    let first: readonly string[] = [];
    for (let missed = 0; missed < limits.missedPings && !over.signal.aborted; ) {
      const ids = await presentIds(connection, name);
      if (first.length === 0) first = ids ?? [];
      // A bus that is away says nothing about the service
      else if (ids !== undefined) missed = ids.some((id) => first.includes(id)) ? 0 : missed + 1;
      await pause(over.signal);
    }
    throw new BusError({
      code: 'BUS_SERVICE_LOST',
      message: `the ${service} that had taken the request is gone`,
      remedy: 'see its log, and send the request again',
    });
  })();
  try {
    return await Promise.race([answer, lost]);
  } finally {
    over.abort();
    // Over by our own wish: what it rejects with is for nobody
    lost.catch(() => undefined);
  }
}

async function presentIds(connection: NatsConnection, name: string): Promise<string[] | undefined> {
  try {
    return (await presentServices(connection)).filter((one) => one.name === name).map(({ id }) => id);
  } catch (error) {
    if (error instanceof NatsError) return undefined;
    throw error;
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, limits.pingEveryMs);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
