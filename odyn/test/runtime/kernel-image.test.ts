import assert from 'node:assert/strict';
import { BuildError } from '../../build/build-error.ts';
import { kernelImage } from '../../build/kernel-image.ts';
import { findPinned, readPinned } from '../../build/pinned.ts';

describe('kernel of an EIF', () => {
  it('is the one of Debian for x86_64', async () => {
    const vmlinuz = await readPinned((await findPinned('x86_64')).kernel);
    assert.equal(kernelImage('x86_64', vmlinuz), vmlinuz);
    assert.equal(vmlinuz.toString('latin1', 0x202, 0x206), 'HdrS');
  });

  it('is the Image of Debian for aarch64 with a load offset of 2 MiB, else unchanged', async () => {
    const vmlinuz = await readPinned((await findPinned('aarch64')).kernel);
    const image = kernelImage('aarch64', vmlinuz);
    assert.equal(image.readBigUInt64LE(8), 0x200000n);
    assert.equal(image.toString('latin1', 56, 60), 'ARM\x64');
    image.fill(0, 8, 16);
    assert.ok(image.equals(vmlinuz));
  });

  it('keeps an offset that an older kernel names', () => {
    const image = Buffer.alloc(64);
    image.write('ARM\x64', 56, 'latin1');
    image.writeBigUInt64LE(0x80000n, 8);
    assert.equal(kernelImage('aarch64', image).readBigUInt64LE(8), 0x80000n);
  });

  it('is refused for aarch64 when it is compressed or cut short', () => {
    for (const vmlinuz of [Buffer.from('1f8b0800', 'hex'), Buffer.alloc(64), Buffer.alloc(0)]) {
      assert.throws(
        () => kernelImage('aarch64', vmlinuz),
        (error) => error instanceof BuildError && error.code === 'KERNEL_UNFIT' && error.remedy !== undefined,
      );
    }
  });
});
