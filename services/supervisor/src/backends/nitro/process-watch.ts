import { readFileSync } from 'node:fs';
import { limits } from '../../limits.ts';

/** Place of the start time behind the name in /proc/<pid>/stat, proc_pid_stat(5): field 22, the state being field 3. */
const START_TIME = 19;

/** State and start time of a process; undefined where there is none, or one that has ended and waits to be reaped. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[START_TIME];
  } catch {
    // It is gone
    return undefined;
  }
}

/**
 * The end of a process that is not our child. It is looked for, since Node has no pidfd: a look takes some 20 µs. Its start time
 * tells it from a later process of the same number.
 */
export class ProcessWatch {
  readonly gone: Promise<void>;
  #timer: NodeJS.Timeout | undefined;

  constructor(pid: number) {
    const gone = Promise.withResolvers<void>();
    this.gone = gone.promise;
    const started = startTimeOf(pid);
    const look = (): void => {
      if (started !== undefined && startTimeOf(pid) === started) return;
      clearInterval(this.#timer);
      gone.resolve();
    };
    this.#timer = setInterval(look, limits.processLookMs);
    // What runs on without us must not keep us
    this.#timer.unref();
    look();
  }
}
