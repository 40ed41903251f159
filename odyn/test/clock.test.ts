import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Nsm, NsmError } from '@enclaver/attestation/nsm';
import { Clock } from '../src/clock/clock.ts';
import type { OpenedNsm } from '../src/nsm/open-nsm.ts';
import { checkEntropy } from '../src/system/entropy.ts';
import { FakeSystem, log, START_MS } from './fake-system.ts';

describe('clock', () => {
  it('takes kvm-clock where there is one', async () => {
    await using machine = await FakeSystem.make();
    await machine.clock('none');
    assert.equal(await machine.read('current_clocksource'), 'kvm-clock');
    assert.deepEqual(machine.words, ['kvm-clock, within 1 s of the NSM']);
  });

  it('takes what there is where there is none', async () => {
    await using machine = await FakeSystem.make({
      available_clocksource: 'arch_sys_counter\n',
      current_clocksource: 'arch_sys_counter\n',
    });
    await machine.clock('none', new Nsm(() => Promise.reject(new NsmError('NSM_TIMEOUT', 'no answer'))));
    assert.deepEqual(machine.words, ['arch_sys_counter, no time to compare it with']);
  });

  it('does not start with another source than the kvm-clock that is there', async () => {
    await using machine = await FakeSystem.make();
    // A kernel that takes the name, and keeps its source
    const system = { ...machine.system, clockSource: '/dev/null' };
    const options = { system, nsm: machine.nsm, sync: 'none', log: log(), onWords: () => undefined } as const;
    await assert.rejects(Clock.start(options), { code: 'CLOCK_SOURCE', message: /kvm-clock is there/ });
  });

  it('reports a drift once, and the end of it, and leaves the clock alone unless told otherwise', async () => {
    await using machine = await FakeSystem.make();
    const clock = await machine.clock('none');
    machine.offsetMs = -6_200;
    for (let i = 0; i < 3; i++) await clock.check();
    machine.offsetMs = 900;
    await clock.check();
    assert.deepEqual(machine.words.slice(1), ['kvm-clock, 6 s behind the NSM', 'kvm-clock, within 1 s of the NSM']);
    assert.deepEqual(machine.slewed, []);
    assert.equal(machine.offsetMs, 900);
  });

  it('does not take the time of a slow call for a drift', async () => {
    await using machine = await FakeSystem.make();
    machine.callMs = 30_000;
    const clock = await machine.clock('nsm');
    await clock.check();
    assert.deepEqual([machine.slewed, machine.offsetMs], [[], 0]);
    assert.deepEqual(machine.words, ['kvm-clock, within 16 s of the NSM']);
  });

  it('follows the NSM: set before the app runs, led afterwards, never set again', async () => {
    await using machine = await FakeSystem.make();
    machine.offsetMs = -START_MS;
    const clock = await machine.clock('nsm');
    assert.equal(machine.offsetMs, 0);
    assert.deepEqual(machine.words, ['kvm-clock, within 1 s of the NSM']);
    machine.offsetMs = 2_500;
    await clock.check();
    assert.deepEqual(machine.slewed, [-2_500_000]);
    assert.equal(machine.offsetMs, 2_500);
    assert.equal(machine.words.at(-1), 'kvm-clock, 3 s ahead of the NSM, being led back');
    machine.offsetMs = -40_001;
    await clock.check();
    assert.equal(machine.slewed.length, 1);
    assert.equal(machine.words.at(-1), 'kvm-clock, 40 s behind the NSM, and not led back');
  });

  it('does not start when it is to follow an NSM that gives no time, or cannot be set', async () => {
    await using machine = await FakeSystem.make();
    machine.failure = new NsmError('NSM_TIMEOUT', 'no answer');
    await assert.rejects(machine.clock('nsm'), { code: 'NSM_TIMEOUT' });
    machine.failure = undefined;
    machine.offsetMs = 10_000;
    machine.result = -constants.errno.EPERM;
    await assert.rejects(machine.clock('nsm'), { code: 'CLOCK_SET', message: /operation not permitted/ });
  });

  it('goes on when the NSM is away later, or the clock cannot be led', async () => {
    await using machine = await FakeSystem.make();
    const clock = await machine.clock('nsm');
    machine.failure = new NsmError('NSM_UNREACHABLE', 'gone');
    await clock.check();
    assert.equal(machine.words.at(-1), 'kvm-clock, no time to compare it with');
    machine.failure = undefined;
    machine.offsetMs = 5_000;
    machine.result = -constants.errno.EPERM;
    await clock.check();
    assert.equal(machine.words.at(-1), 'kvm-clock, 5 s ahead of the NSM, and not led back');
  });
});

describe('random numbers', () => {
  const opened = (machine: FakeSystem, origin: OpenedNsm['origin']): OpenedNsm => ({ nsm: machine.nsm, origin });

  it('are good with the NSM as their hardware source', async () => {
    await using machine = await FakeSystem.make();
    await checkEntropy(opened(machine, 'device'), machine.system, log());
    assert.equal(await machine.read('random'), '', 'init has seeded them');
  });

  it('are mixed with those of a simulator, which count as nothing', async () => {
    await using machine = await FakeSystem.make({ rng_current: 'none\n' });
    await checkEntropy(opened(machine, 'simulator'), machine.system, log());
    assert.equal((await readFile(join(machine.folder, 'random'))).length, 256);
  });

  it('are not believed with an NSM that is not their source', async () => {
    await using machine = await FakeSystem.make({ rng_current: 'virtio_rng.0\n' });
    await assert.rejects(checkEntropy(opened(machine, 'device'), machine.system, log()), {
      code: 'ENTROPY_SOURCE',
      message: /"virtio_rng\.0"; with the NSM it is nsm-hwrng/,
    });
    await rm(join(machine.folder, 'rng_current'));
    await assert.rejects(checkEntropy(opened(machine, 'device'), machine.system, log()), { code: 'ENTROPY_SOURCE' });
  });

  it('are waited for, and the enclave fails without', async () => {
    await using machine = await FakeSystem.make({ entropy_avail: '12\n' });
    const waited = checkEntropy(undefined, machine.system, log());
    await writeFile(machine.system.entropyAvailable, '256\n');
    await waited;
    await writeFile(machine.system.entropyAvailable, '12\n');
    await assert.rejects(checkEntropy(undefined, machine.system, log(), { patienceMs: 200 }), {
      code: 'ENTROPY_MISSING',
      message: /has 12 bits .* keys need 256/,
    });
  });

  it('that a simulator does not give end the start', async () => {
    await using machine = await FakeSystem.make();
    machine.failure = new NsmError('NSM_UNREACHABLE', 'gone');
    await assert.rejects(checkEntropy(opened(machine, 'simulator'), machine.system, log()), {
      code: 'NSM_UNREACHABLE',
    });
  });
});
