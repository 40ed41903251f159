import type { Bus } from './bus.ts';
import { limits } from './limits.ts';

/** Warns while the connection to the bus is lost again and again. */
export function watchStability(bus: Bus): void {
  let lost: number[] = [];
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    const since = performance.now() - limits.unstableMs;
    lost = lost.filter((time) => time > since);
    const minutes = limits.unstableMs / 60_000;
    bus.warnings.set(lost.length >= limits.unstableLosses, {
      code: 'BUS_UNSTABLE',
      severity: 'warning',
      message: `the connection to the bus was lost ${lost.length} times or more in ${minutes} minutes`,
      remedy: 'see the log of nats-server: does it restart, or run out of memory or disk?',
    });
    clearTimeout(timer);
    const [oldest] = lost;
    if (oldest !== undefined) timer = setTimeout(tell, oldest - since + 1).unref();
  };
  void bus.onConnectionChange((connected) => {
    if (connected) return;
    lost = [...lost, performance.now()].slice(-limits.unstableLosses);
    tell();
  });
}
