import { OPAQUE, WHITEOUT } from '../layers/file-tree.ts';
import { components } from '../layers/resolve.ts';
import type { TarEntry } from '../tar/tar-read.ts';

/**
 * Whether an entry could take the place of the file at `path`, or of a folder above it, when an engine puts layers together. The
 * parents of a name may be symlinks, of layers below too, but its last part is never followed: by that part it is known, wherever
 * it stands.
 */
export function isRival({ type, name }: TarEntry, path: string): boolean {
  const last = components(name).at(-1) ?? '';
  if (last === OPAQUE) return true;
  const hides = last.startsWith(WHITEOUT);
  const concerned = hides ? last.slice(WHITEOUT.length) : last;
  const folders = components(path);
  if (concerned === folders.pop()) return true;
  return folders.includes(concerned) && (hides || type !== 'directory');
}
