import { createHash } from 'node:crypto';
import { type EifSection, readEif } from '@enclaver/eif';

/**
 * What differs between two builds' EIFs, a line each for people; empty where nothing does. A signature is left out: each one
 * has a random number in it, and none is measured by PCR0, 1 or 2.
 */
export async function compareBuilds(first: string, second: string): Promise<string[]> {
  const [a, b] = [await sectionDigests(first), await sectionDigests(second)];
  const names = [...new Set([...a.keys(), ...b.keys()])];
  return names.filter((name) => a.get(name) !== b.get(name)).map((name) => `${name} differs`);
}

async function sectionDigests(path: string): Promise<Map<string, string>> {
  const eif = await readEif(path);
  const digests = new Map<string, string>();
  const count = new Map<EifSection['type'], number>();
  for (const section of eif.sections) {
    if (section.type === 'signature') continue;
    const number = count.get(section.type) ?? 0;
    count.set(section.type, number + 1);
    const hash = createHash('sha256');
    for await (const piece of eif.data(section)) hash.update(piece);
    digests.set(`${section.type} ${number}`, hash.digest('hex'));
  }
  return digests;
}
