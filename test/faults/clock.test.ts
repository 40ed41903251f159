import { strikeAll } from './faults.ts';
import { type FrameProcess, frameProcesses } from './frame.ts';
import { clocks } from './kinds/clocks.ts';
import { MovedClocks } from './moved-clock.ts';
import { randomFrom } from './random.ts';
import { LoadedStack } from './stack.ts';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 2 ** 31);

describe('wall clocks that jump, under load', function () {
  this.timeout(120_000);

  let of: MovedClocks<FrameProcess>;
  let stack: LoadedStack;

  before(async () => {
    of = await MovedClocks.make(frameProcesses);
    stack = await LoadedStack.start({ prefix: (name) => of.prefix(name) });
  });

  after(async () => {
    await stack?.[Symbol.asyncDispose]();
    await of?.[Symbol.asyncDispose]();
  });

  it(`cost no byte, no line and no request, seed ${SEED}`, async () => {
    const kinds = clocks(of);
    await strikeAll(stack, kinds, { count: kinds.length, seed: SEED, random: randomFrom(SEED) });
  });
});
