import { strikeAll } from './faults.ts';
import { descriptors } from './kinds/descriptors.ts';
import { disks } from './kinds/disks.ts';
import { processes } from './kinds/processes.ts';
import { randomFrom } from './random.ts';
import { LoadedStack } from './stack.ts';

const KINDS = [...processes, ...disks, ...descriptors];
/** FAULTS and FAULT_SEED: how many, and a run to repeat; `scripts/nightly` has 200 of them. */
const FAULTS = Number(process.env.FAULTS ?? KINDS.length);
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 2 ** 31);

describe('faults at random moments, under load', function () {
  this.timeout(60_000 + FAULTS * 10_000);

  let stack: LoadedStack;

  before(async () => {
    stack = await LoadedStack.start();
  });

  after(() => stack?.[Symbol.asyncDispose]());

  it(`lose no byte and no line: ${FAULTS} of them, seed ${SEED}`, () =>
    strikeAll(stack, KINDS, { count: FAULTS, seed: SEED, random: randomFrom(SEED) }));
});
