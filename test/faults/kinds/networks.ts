import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Network } from '../../stack/network.ts';
import type { Fault } from '../faults.ts';
import { CLIENTS, IDLE_MS, type LoadedStack } from '../stack.ts';

const LASTS_MS = 2_000;
const STALLED = 60;
const STALLED_MS = 3_000;
/** Of the relay: bytes of an enclave that has closed the connection wait so long for a client that takes none of them. */
const HOLD_MS = 60_000;
/** With FAULTS in the environment, as in `scripts/nightly`. */
const LONG = process.env.FAULTS !== undefined;
const MACHINES = ['client', 'server'];

/** Networks that are cut, and clients that stall or vanish without a word. The clients' machine is `client`, the one that vanishes `goner`. */
export function networks(network: Network): readonly Fault[] {
  const all = (each: (machine: string) => Promise<unknown>) => Promise.all(MACHINES.map(each));

  /** Connections of the machine that a process of the parent still has; the kernel says its last words for itself. */
  const openOf = async (machine: string): Promise<number> => {
    const { stdout } = await network.run('hub', ['ss', '-Htnp', 'dst', network.addressOf(machine)]);
    return stdout.split('\n').filter((line) => line.includes('users:')).length;
  };

  const stall = async ({ inside: { port } }: LoadedStack, kinds: number) => {
    const script = new URL('../stalled-process.ts', import.meta.url).pathname;
    const args = [network.hubAddress, `${port}`, `${STALLED}`, `${kinds}`];
    const child = network.start('goner', [process.execPath, script, ...args]);
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    return child;
  };

  /** Until neither the parent nor odyn has anything of those clients any more. */
  const givenBack = async (stack: LoadedStack, before: number, withinMs: number): Promise<void> => {
    const begun = performance.now();
    for (;;) {
      const [connections, descriptors] = [await openOf('goner'), await descriptorsOf(stack)];
      // The load takes and gives back its own meanwhile
      if (connections === 0 && descriptors <= before + 4 * CLIENTS) return;
      assert.ok(performance.now() - begun < withinMs, `${connections} connections, ${descriptors} descriptors of odyn`);
      await sleep(50);
    }
  };

  return [
    {
      name: 'links of clients and of the server down for 2 s',
      mayFail: 0,
      lastsMs: LASTS_MS,
      strike: async () => {
        await all((machine) => network.cut(machine));
        await sleep(LASTS_MS);
        await all((machine) => network.heal(machine));
      },
    },
    {
      name: 'network swallows all packets of clients and of the server for 2 s',
      mayFail: 0,
      lastsMs: LASTS_MS,
      strike: async () => {
        await all((machine) => network.swallow(machine));
        await sleep(LASTS_MS);
        await all((machine) => network.pass(machine));
      },
    },
    {
      name: `${STALLED} clients stall for 3 s, and end`,
      mayFail: 0,
      lastsMs: STALLED_MS,
      strike: async (stack) => {
        const before = await descriptorsOf(stack);
        const stalled = await stall(stack, 3);
        await sleep(STALLED_MS);
        stalled.kill('SIGKILL');
        await givenBack(stack, before, 3 * IDLE_MS);
      },
    },
    {
      name: `${STALLED} clients stall, and vanish without a word`,
      mayFail: 0,
      strike: async (stack) => {
        const before = await descriptorsOf(stack);
        const stalled = await stall(stack, LONG ? 3 : 2);
        await network.swallow('goner');
        stalled.kill('SIGKILL');
        await givenBack(stack, before, 3 * IDLE_MS + (LONG ? HOLD_MS : 0));
        await network.pass('goner');
      },
    },
  ];
}

async function descriptorsOf({ inside: { enclave } }: LoadedStack): Promise<number> {
  return (await readdir(`/proc/${enclave.pid}/fd`)).length;
}
