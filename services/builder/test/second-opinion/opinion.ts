import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { readRamdisk } from '../support.ts';

/** Of a name: type and mode, owners, device, target, content. Times and extended attributes no initramfs carries. */
type Facts = Map<string, string>;

export interface Opinion {
  facts: Facts;
  /** Names of one file, joined and sorted. */
  links: string[];
}

/** What stands in a folder that umoci unpacked to. */
export async function unpacked(root: string): Promise<Opinion> {
  const facts: Facts = new Map();
  const names = new Map<number, string[]>();
  const walk = async (folder: Buffer, prefix: string): Promise<void> => {
    for (const name of await readdir(folder, { encoding: 'buffer' })) {
      const path = Buffer.concat([folder, Buffer.from('/'), name]);
      const shown = prefix + name.toString('latin1');
      const { mode, uid, gid, rdev, ino, nlink } = await lstat(path);
      const isDevice = (mode & 0o170000) === 0o020000 || (mode & 0o170000) === 0o060000;
      // As glibc packs them: 12 and 20 bits
      const device = isDevice ? `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}` : '0:0';
      const isFile = (mode & 0o170000) === 0o100000;
      const isLink = (mode & 0o170000) === 0o120000;
      const data = isLink
        ? await readlink(path, { encoding: 'buffer' })
        : isFile
          ? await readFile(path)
          : Buffer.alloc(0);
      facts.set(shown, `${mode.toString(8)} ${uid}:${gid} ${device} ${hash(data)}`);
      if (isFile && nlink > 1) names.set(ino, [...(names.get(ino) ?? []), shown]);
      if ((mode & 0o170000) === 0o040000) await walk(path, `${shown}/`);
    }
  };
  await walk(Buffer.from(root), '');
  return { facts, links: joined(names.values()) };
}

/** What stands in our ramdisk, without what an enclave has and an image need not: `image` says what this one has. */
export async function ours(eif: string, image: Opinion): Promise<Opinion> {
  const facts: Facts = new Map();
  const names = new Map<number, string[]>();
  const data = new Map<number, string>();
  for (const entry of await readRamdisk(eif)) {
    if (!entry.path.startsWith('rootfs/')) continue;
    const path = entry.path.slice('rootfs/'.length);
    if (ADDED.test(path) && !image.facts.has(path)) continue;
    const isLinked = entry.mode.startsWith('10') && entry.nlink > 1;
    // The first name of a file has its data
    if (isLinked && !data.has(entry.ino)) data.set(entry.ino, entry.data);
    const bytes = Buffer.from(isLinked ? (data.get(entry.ino) ?? '') : entry.data, 'latin1');
    facts.set(path, `${entry.mode} ${entry.uid}:${entry.gid} ${entry.rdev} ${hash(bytes)}`);
    if (isLinked) names.set(entry.ino, [...(names.get(entry.ino) ?? []), path]);
  }
  return { facts, links: joined(names.values()) };
}

function joined(sets: Iterable<string[]>): string[] {
  return [...sets].map((set) => set.toSorted().join(' = ')).toSorted();
}

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** What an enclave has and an image need not. */
const ADDED = /^(dev|proc|run|sys|tmp|etc|etc\/enclaver|etc\/enclaver\/enclaver\.yaml)$/;
