import { Network } from '../stack/network.ts';
import { strikeAll } from './faults.ts';
import { networks } from './kinds/networks.ts';
import { randomFrom } from './random.ts';
import { LoadedStack } from './stack.ts';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 2 ** 31);

describe('networks that break, and clients that stall, under load', function () {
  this.timeout(120_000);

  let network: Network;
  let stack: LoadedStack;

  before(async () => {
    network = await Network.make(['client', 'server', 'goner']);
    stack = await LoadedStack.start({ network });
  });

  after(async () => {
    await stack?.[Symbol.asyncDispose]();
    await network?.[Symbol.asyncDispose]();
  });

  it(`cost no byte, no line and no request, seed ${SEED}`, async () => {
    const kinds = networks(network);
    await strikeAll(stack, kinds, { count: kinds.length, seed: SEED, random: randomFrom(SEED) });
  });
});
