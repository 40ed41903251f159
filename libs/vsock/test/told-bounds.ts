import assert from 'node:assert/strict';
import type { Relay, RelayLimits } from '../src/index.ts';

/** What a relay is told of the listener that `open` has it open: nobody waits for an hour or opens ten thousand connections to see it. */
export async function boundsTold(open: (relay: Relay) => Promise<unknown>): Promise<RelayLimits> {
  let told: RelayLimits | undefined;
  const relay: Pick<Relay, 'listen'> = {
    listen: async (_address, _target, bounds) => {
      told = bounds;
      return { address: {}, descriptor: -1, stats: assert.fail, retarget: assert.fail, close: async () => undefined };
    },
  };
  await open(relay as Relay);
  return told ?? assert.fail('the relay was told nothing');
}
