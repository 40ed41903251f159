import type { Fault } from '../faults.ts';

const LASTS_MS = 2_000;
const WRITES_PER_SECOND = 20;

/** Disks that are slow, and that take nothing for a time. */
export const disks: readonly Fault[] = [
  {
    name: `disk of nats-server takes ${WRITES_PER_SECOND} writes a second for 2 s`,
    mayFail: 0,
    lastsMs: LASTS_MS,
    strike: ({ disks, nats }) => disks.bus.slow(nats.pid, WRITES_PER_SECOND, LASTS_MS),
  },
  {
    name: 'disk of nats-server hangs for 2 s',
    mayFail: 0,
    lastsMs: LASTS_MS,
    strike: ({ disks }) => disks.bus.hang(LASTS_MS),
  },
  {
    name: `disk of the log files takes ${WRITES_PER_SECOND} writes a second for 2 s`,
    mayFail: 0,
    lastsMs: LASTS_MS,
    strike: ({ disks, relay }) => disks.logs.slow(relay.pid, WRITES_PER_SECOND, LASTS_MS),
  },
  {
    name: 'disk of the log files hangs for 2 s',
    mayFail: 0,
    lastsMs: LASTS_MS,
    strike: ({ disks }) => disks.logs.hang(LASTS_MS),
  },
];
