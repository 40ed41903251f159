/**
 * In the place of odyn on QEMU's machine nitro-enclave: asks the real driver through odyn's own client and addon, and tells the
 * answers in one console line `REPORT {…}`, byte strings in base64.
 */
import { readFileSync } from 'node:fs';
import { type Nsm, NsmError } from '@enclaver/attestation/nsm';
import { nativeTransport } from '@enclaver/vsock';
import { chooseClockSource } from '../../../odyn/src/clock/clock-source.ts';
import { LogRing } from '../../../odyn/src/logs/log-ring.ts';
import { OdynLog } from '../../../odyn/src/logs/odyn-log.ts';
import { openNsm } from '../../../odyn/src/nsm/open-nsm.ts';
import { checkEntropy } from '../../../odyn/src/system/entropy.ts';
import { readWord, system } from '../../../odyn/src/system/system.ts';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'no error';
  } catch (error) {
    return error instanceof NsmError ? error.code : String(error);
  }
}

async function registers(nsm: Nsm): Promise<{ locked: boolean; value: string }[]> {
  const found: { locked: boolean; value: string }[] = [];
  for (let index = 0; index < 32; index++) {
    const { locked, value } = await nsm.describePcr(index);
    found.push({ locked, value: base64(value) });
  }
  return found;
}

async function report(): Promise<unknown> {
  const opened = openNsm(nativeTransport({ cid: 3 }), readFileSync('/proc/cmdline', 'utf8'));
  if (opened === undefined) return { origin: 'none' };
  const { nsm, origin } = opened;
  await checkEntropy(opened, system, new OdynLog(new LogRing(65_536)));
  const before = await registers(nsm);
  const extended = await nsm.extendPcr(16, Buffer.from('first'));
  await nsm.extendPcr(31, Buffer.alloc(4000, 7));
  await nsm.lockPcr(16);
  const fields = { nonce: Buffer.alloc(1024, 1), userData: Buffer.from('data'), publicKey: Buffer.alloc(300, 2) };
  const [one, two] = [await nsm.random(), await nsm.random()];
  const errors = {
    extendLocked: await codeOf(nsm.extendPcr(16, Buffer.from('again'))),
    extendPlatform: await codeOf(nsm.extendPcr(0, Buffer.from('again'))),
    noSuchRegister: await codeOf(nsm.describePcr(32)),
    tooLong: await codeOf(nsm.extendPcr(17, Buffer.alloc(5000))),
  };
  const document = base64(await nsm.attest(fields));
  const timeMs = (await nsm.time()).getTime();
  await nsm.lockPcrs(32);
  const parallel = await Promise.all(Array.from({ length: 20 }, () => nsm.random()));
  return {
    origin,
    description: await nsm.describe(),
    before,
    extended: base64(extended),
    after: await registers(nsm),
    random: [one.length, two.length, Buffer.compare(one, two) !== 0, new Set(parallel.map(base64)).size],
    errors,
    document,
    timeMs,
    entropy: { bits: Number(readWord(system.entropyAvailable)), source: readWord(system.randomSource) },
    clockSource: chooseClockSource(system),
  };
}

report()
  .then((found) => console.log(`REPORT ${JSON.stringify(found)}`))
  .catch((error: unknown) => console.log('REPORT', JSON.stringify({ failed: String(error) })))
  // init powers the machine off
  .finally(() => process.exit(0));
