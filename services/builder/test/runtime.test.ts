import assert from 'node:assert/strict';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { loadRuntime } from '../src/runtime.ts';
import { Bench, refusal } from './support.ts';

describe('the enclave runtime', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.create();
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  for (const arch of ['x86_64', 'aarch64'] as const) {
    it(`is the one for ${arch} where that is asked for, with the versions it is made of`, async () => {
      const runtime = await loadRuntime(bench.file('runtime'), arch);
      assert.deepEqual(runtime, {
        arch,
        kernel: bench.file(`runtime/${arch}/kernel`),
        cmdline: 'console=ttyS0',
        ramdisk: bench.file(`runtime/${arch}/ramdisk0.cpio`),
        bytes: runtime.bytes,
        enclaverVersion: '0.0.0-test',
        kernelVersion: '6.0-test',
        nodeVersion: '24.0.0',
        toolchain: ['gcc (test) 1.0'],
      });
      const ramdisk = await readFile(runtime.ramdisk);
      assert.equal(runtime.bytes, ramdisk.length + `not a real kernel for ${arch}`.length);
      assert.equal(await readFile(runtime.kernel, 'utf8'), `not a real kernel for ${arch}`);
    });
  }

  it('says which architecture is missing while the other is there', async () => {
    await rm(bench.file('runtime/aarch64'), { recursive: true });
    await loadRuntime(bench.file('runtime'), 'x86_64');
    await assert.rejects(
      loadRuntime(bench.file('runtime'), 'aarch64'),
      refusal('RUNTIME_MISSING', /runtime for aarch64 .* no runtime\.json/),
    );
  });

  it('refuses one that lies in the folder of the other', async () => {
    await rm(bench.file('runtime/aarch64'), { recursive: true });
    await rename(bench.file('runtime/x86_64'), bench.file('runtime/aarch64'));
    await assert.rejects(
      loadRuntime(bench.file('runtime'), 'aarch64'),
      refusal('RUNTIME_INVALID', /aarch64 is damaged: its runtime\.json is for x86_64/),
    );
  });

  it('refuses a description of another shape', async () => {
    await writeFile(bench.file('runtime/x86_64/runtime.json'), '{"arch":"riscv64"}');
    await assert.rejects(loadRuntime(bench.file('runtime'), 'x86_64'), refusal('RUNTIME_INVALID', /arch/));
  });
});
