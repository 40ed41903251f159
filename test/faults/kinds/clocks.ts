import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../faults.ts';
import { type FrameProcess, frameProcesses } from '../frame.ts';
import type { MovedClocks } from '../moved-clock.ts';

const LASTS_MS = 1_000;
const HOUR_MS = 3_600_000;

/** Wall clocks that jump by an hour, and back after a second: of one kind of process, and of all of them. */
export function clocks(of: MovedClocks<FrameProcess>): readonly Fault[] {
  const sets: readonly (readonly [string, readonly FrameProcess[]])[] = [
    ...frameProcesses.map((process) => [process, [process]] as const),
    ['all processes', frameProcesses],
  ];
  return sets.flatMap(([what, names]) =>
    [HOUR_MS, -HOUR_MS].map((ms) => ({
      name: `clock of ${what} an hour ${ms > 0 ? 'ahead' : 'back'}, and right after a second`,
      mayFail: 0,
      lastsMs: LASTS_MS,
      strike: async () => {
        await of.move(names, ms);
        await sleep(LASTS_MS);
        await of.move(names, 0);
      },
    })),
  );
}
