import type { Eif, EifSection } from '@enclaver/eif';
import { InvalidArgumentError } from 'commander';
import { CliError } from '../../cli-error.ts';

/** Where the app's file tree is, in our images and in those of nitro-cli. */
const APP_ROOT = Buffer.from('rootfs');

/** Value of `--ramdisk`. */
export function parseRamdisk(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw new InvalidArgumentError('Allowed is the number of a ramdisk, from 0.');
  return Number(text);
}

/** The ramdisks of an image with their numbers, or the one that is asked for. Throws EIF_NO_SUCH_PART. */
export function ramdisksOf({ sections }: Eif, wanted?: number): { number: number; section: EifSection }[] {
  const all = sections.filter(({ type }) => type === 'ramdisk').map((section, number) => ({ number, section }));
  const found = all.filter(({ number }) => wanted === undefined || number === wanted);
  if (found.length === 0) {
    const remedy = `the image has ramdisk ${all.map(({ number }) => number).join(', ')}`;
    throw new CliError('EIF_NO_SUCH_PART', `there is no ramdisk ${wanted}`, remedy);
  }
  return found;
}

/** The name in a ramdisk of a path as users write it: `/etc` is in the app's tree, `init` stands as it is. */
export function nameInRamdisk(path: Buffer): Buffer {
  const slash = '/'.charCodeAt(0);
  let end = path.length;
  while (end > 0 && path[end - 1] === slash) end -= 1;
  const name = path.subarray(0, end);
  return path[0] === slash ? Buffer.concat([APP_ROOT, name]) : name;
}
