import type { EifSection } from './layout.ts';
import type { ScannedEif } from './scan-eif.ts';

/** "HdrS" at 0x202 marks an x86 boot image; the pointer at 0x20e counts from 0x200 (`Documentation/arch/x86/boot.rst`). */
const BOOT_MAGIC = { offset: 0x202, text: 'HdrS' };
const VERSION_POINTER = 0x20e;
const POINTER_BASE = 0x200;
/** The longest text of which the release is the first word: release, builder, build number, date. */
const MAX_BANNER_BYTES = 512;

/**
 * The release of a Linux kernel such as `6.12.95+deb12-amd64`: an x86 boot image points to it, in an uncompressed
 * image (arm64) it stands after "Linux version". Undefined where there is neither. It is what the file says, unchecked.
 */
export async function kernelRelease(image: Pick<ScannedEif, 'data'>, kernel: EifSection): Promise<string | undefined> {
  const head = await range(image, kernel, 0, VERSION_POINTER + 2);
  const isWhole = head.length === VERSION_POINTER + 2;
  if (
    isWhole &&
    head.toString('latin1', BOOT_MAGIC.offset, BOOT_MAGIC.offset + BOOT_MAGIC.text.length) === BOOT_MAGIC.text
  ) {
    const start = POINTER_BASE + head.readUInt16LE(VERSION_POINTER);
    const banner = await range(image, kernel, start, start + MAX_BANNER_BYTES);
    return /^[\x21-\x7e]+/.exec(banner.toString('latin1'))?.[0];
  }
  return await searchBanner(image, kernel);
}

async function searchBanner(image: Pick<ScannedEif, 'data'>, kernel: EifSection): Promise<string | undefined> {
  let kept = '';
  for await (const piece of image.data(kernel)) {
    const text = kept + piece.toString('latin1');
    const found = /Linux version (\d[\x21-\x7e]*) /.exec(text)?.[1];
    if (found !== undefined) return found;
    kept = text.slice(-MAX_BANNER_BYTES);
  }
  return undefined;
}

async function range(
  image: Pick<ScannedEif, 'data'>,
  section: EifSection,
  start: number,
  end: number,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  const within = { start: Math.min(start, section.size), end: Math.min(end, section.size) };
  for await (const piece of image.data(section, within)) parts.push(piece);
  return Buffer.concat(parts);
}
