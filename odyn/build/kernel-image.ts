import type { Arch } from './arch.ts';
import { BuildError } from './build-error.ts';

/**
 * Header of an arm64 `Image` (Documentation/arch/arm64/booting.rst): magic at 56, offset to load at from a 2 MiB boundary
 * at 8, 64 bits each with the magic 32, little-endian.
 */
const ARM64_MAGIC_AT = 56;
const ARM64_MAGIC = Buffer.from('ARM\x64', 'latin1');
const TEXT_OFFSET_AT = 8;

/**
 * What Nitro's loader and others expect. Kernels from 5.10 on run at any 2 MiB boundary and say 0, which the loader takes
 * at its word: the start of memory is its own.
 */
const TEXT_OFFSET = 0x200000n;

/** The kernel as an EIF carries it. x86_64: Debian's bzImage as it is. aarch64: an uncompressed `Image` with a load offset. */
export function kernelImage(arch: Arch, vmlinuz: Buffer): Buffer {
  if (arch === 'x86_64') return vmlinuz;
  const magic = vmlinuz.subarray(ARM64_MAGIC_AT, ARM64_MAGIC_AT + ARM64_MAGIC.length);
  if (!magic.equals(ARM64_MAGIC)) {
    throw new BuildError('KERNEL_UNFIT', 'the pinned arm64 vmlinuz is not an uncompressed Image, which an EIF needs', {
      remedy: 'pin a kernel package whose vmlinuz is one, as those of Debian 12 and its backports are',
    });
  }
  const image = Buffer.from(vmlinuz);
  if (image.readBigUInt64LE(TEXT_OFFSET_AT) === 0n) image.writeBigUInt64LE(TEXT_OFFSET, TEXT_OFFSET_AT);
  return image;
}
