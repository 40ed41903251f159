import type { Fault } from '../faults.ts';
import { CLIENTS } from '../stack.ts';

const FROZEN_MS = 500;

/** Processes that are killed, stopped or frozen. */
export const processes: readonly Fault[] = [
  {
    name: 'outer-proxy killed, one of two',
    mayFail: CLIENTS,
    strike: async ({ proxies }, which) => {
      await proxies[which].end('SIGKILL');
      await proxies[which].start();
    },
  },
  {
    name: 'outer-proxy stopped, one of two',
    mayFail: 0,
    strike: async ({ proxies }, which) => {
      await proxies[which].end('SIGTERM');
      await proxies[which].start();
    },
  },
  {
    name: 'outer-proxy frozen for half a second, one of two',
    mayFail: 0,
    lastsMs: FROZEN_MS,
    strike: ({ proxies }, which) => proxies[which].pauseFor(FROZEN_MS),
  },
  {
    name: 'log-relay killed',
    mayFail: 0,
    strike: async ({ relay }) => {
      await relay.end('SIGKILL');
      await relay.start();
    },
  },
  {
    name: 'log-relay frozen for half a second',
    mayFail: 0,
    lastsMs: FROZEN_MS,
    strike: ({ relay }) => relay.pauseFor(FROZEN_MS),
  },
  {
    name: 'nats-server killed',
    mayFail: 0,
    strike: async ({ nats }) => {
      await nats.crash();
      await nats.restart();
    },
  },
  {
    name: 'vsock device killed',
    mayFail: CLIENTS,
    strike: async ({ inside: { device } }) => {
      await device.stop();
      await device.start();
    },
  },
];
