import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import type { OpenedNsm } from '../nsm/open-nsm.ts';
import { OdynError } from '../odyn-error.ts';
import { readWord, type System } from './system.ts';

/** What the driver `nsm` calls itself as a source of random numbers. */
const NSM_SOURCE = 'nsm-hwrng';
/** Linux counts no more than this, and needs as much before it calls its numbers good (`drivers/char/random.c`). */
const READY_BITS = 256;

/**
 * Refuses to go on with random numbers that are not good for keys. The bytes of the device are in the kernel's pool already: init
 * put them there before this process began. Those of a simulator are known to its process: mixed in, and counted as nothing.
 * @throws OdynError ENTROPY_SOURCE, ENTROPY_MISSING; NsmError of a simulator
 */
export async function checkEntropy(
  opened: OpenedNsm | undefined,
  system: System,
  log: OdynLog,
  { patienceMs = limits.entropyMs }: { patienceMs?: number } = {},
): Promise<void> {
  if (opened?.origin === 'simulator') appendFileSync(system.random, await opened.nsm.random());
  const source = existsSync(system.randomSource) ? readWord(system.randomSource) : 'none';
  if (opened?.origin === 'device' && source !== NSM_SOURCE) {
    throw new OdynError(
      'ENTROPY_SOURCE',
      `the kernel's hardware source of random numbers is ${JSON.stringify(source)}; with the NSM it is ${NSM_SOURCE}`,
      { remedy: 'run the kernel and modules that belong to this image' },
    );
  }
  const bits = await entropyBits(system.entropyAvailable, patienceMs);
  log.info('random numbers are ready', { bits, source, nsm: opened?.origin ?? 'none' });
}

async function entropyBits(path: string, patienceMs: number): Promise<number> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const bits = Number(readWord(path));
    if (bits >= READY_BITS) return bits;
    if (performance.now() > until) {
      throw new OdynError(
        'ENTROPY_MISSING',
        `the kernel has ${bits} bits of randomness after ${patienceMs} ms; keys need ${READY_BITS}`,
        { remedy: 'run it on Nitro, or on a processor with its own random numbers' },
      );
    }
    await sleep(limits.entropyPollMs);
  }
}
