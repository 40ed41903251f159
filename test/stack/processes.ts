import { readdirSync, readFileSync } from 'node:fs';

/** A file of the kernel, empty where its process has gone. */
export const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** A process and all that it has started. */
export function familyOf(root: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), Number(/\) . (\d+)/.exec(read(`/proc/${name}/stat`))?.[1])] as const);
  const family = [root];
  for (const pid of family) for (const [child, parent] of parents) if (parent === pid) family.push(child);
  return family;
}

/** Of its program, or of the service where it is one. */
export function nameOf(pid: number): string {
  const words = read(`/proc/${pid}/cmdline`).split('\0');
  const service = /services\/([a-z-]+)\//.exec(words.join(' '))?.[1];
  return service ?? words[0]?.split('/').at(-1) ?? '';
}
