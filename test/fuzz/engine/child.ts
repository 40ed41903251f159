// The process that libFuzzer runs in: FOLDER of the built target, number of counted places, then libFuzzer's own arguments
// with the name of the program that starts it again.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { FuzzTarget } from '../target.ts';
import { COUNTERS } from './instrument.ts';

interface Driver {
  start(
    args: readonly string[],
    counters: Uint8Array,
    run: (input: Buffer, done: (good: boolean) => void) => void,
  ): void;
}

const [folder = '', places = '', ...args] = process.argv.slice(2);
const counters = new Uint8Array(Number(places));
Object.assign(globalThis, { [COUNTERS]: counters });
const { fuzz } = (await import(join(folder, 'target.mjs'))) as FuzzTarget;
const driver = createRequire(import.meta.url)(join(folder, 'driver.node')) as Driver;
counters.fill(0);

driver.start(args, counters, (input, done) => {
  const failed = (error: unknown): void => {
    console.error(error);
    done(false);
  };
  try {
    const running = fuzz(input);
    // Without a turn of the loop where none is needed: it would be most of the time
    if (running === undefined) done(true);
    else running.then(() => done(true), failed);
  } catch (error) {
    failed(error);
  }
});
