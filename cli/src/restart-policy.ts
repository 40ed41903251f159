import type { RestartPolicy } from '@enclaver/bus';
import { InvalidArgumentError } from 'commander';

/** Reads `--restart`: `no`, `always`, `on-failure` or `on-failure:n`, as with `docker run`. */
export function parseRestart(text: string): RestartPolicy {
  if (text === 'no' || text === 'always' || text === 'on-failure') return { policy: text };
  const max = Number(/^on-failure:(\d{1,6})$/.exec(text)?.[1]);
  if (max >= 1) return { policy: 'on-failure', max };
  throw new InvalidArgumentError('Allowed is no, always, on-failure, or on-failure:<restarts in a row>.');
}

/** The same, as `--restart` takes it. */
export function formatRestart(restart: RestartPolicy): string {
  const max = restart.policy === 'on-failure' ? restart.max : undefined;
  return max === undefined ? restart.policy : `${restart.policy}:${max}`;
}
