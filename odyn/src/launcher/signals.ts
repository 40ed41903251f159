import { signalNumberOf } from '@enclaver/wire';
import { OdynError } from '../odyn-error.ts';

/** First and last real-time signal as C libraries number them for programs: the two below belong to the library. */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** Number of an image's stop signal, such as SIGTERM or SIGRTMIN+3. @throws OdynError SIGNAL_UNKNOWN */
export function stopSignalNumber(name: string): number {
  const number = signalNumberOf(name) ?? realTimeNumber(name);
  if (number !== undefined) return number;
  throw new OdynError('SIGNAL_UNKNOWN', `STOPSIGNAL "${name}" is no signal of this system`, {
    remedy: 'use a name such as SIGTERM, SIGINT, SIGQUIT or SIGRTMIN+3',
  });
}

function realTimeNumber(name: string): number | undefined {
  const [, base, offset = '0'] = /^SIGRT(MIN|MAX)(?:[+-](\d{1,2}))?$/.exec(name) ?? [];
  if (base === undefined) return undefined;
  const number = base === 'MIN' ? SIGRTMIN + Number(offset) : SIGRTMAX - Number(offset);
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}
