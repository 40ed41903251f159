import { setTimeout as sleep } from 'node:timers/promises';
import { ErrorCode, type NatsConnection, NatsError } from 'nats';
import { limits } from './limits.ts';

/** What a server that is away, restarting, or not yet serving JetStream makes of a request. */
const PASSING: readonly string[] = [
  ErrorCode.Timeout,
  ErrorCode.NoResponders,
  ErrorCode.Disconnect,
  ErrorCode.JetStreamNotEnabled,
  '503',
];

/**
 * Repeats `store` until the server has acknowledged it: state that was reached cannot be un-reached because the bus was
 * away. Fails when the connection is closed for good or the server refuses.
 */
export async function untilStored<T>(
  connection: NatsConnection,
  store: () => Promise<T>,
  onRetry: () => void = () => undefined,
): Promise<T> {
  for (;;) {
    try {
      return await store();
    } catch (error) {
      const passing = error instanceof NatsError && PASSING.includes(error.code);
      if (!passing || connection.isClosed() || connection.isDraining()) throw error;
      onRetry();
      await sleep(limits.storeRetryMs);
    }
  }
}
