import fc from 'fast-check';
import type { TarEntry } from '../../../../test/images/tar.ts';

/** A file tree as people think of one: what a name is, folders with what is in them. */
export type Tree = { [name: string]: Thing };
type Thing =
  | { kind: 'file'; content: string; mode: number }
  | { kind: 'symlink'; target: string }
  | { kind: 'folder'; mode: number; in: Tree };

/** `.wh.` and names of the enclave's own folders are left to the tables of cases. */
const name = fc.constantFrom('a', 'b', 'a-b', 'a.b', 'ab', '\xe9', 'B', ' ', '\n');
const mode = fc.constantFrom(0o755, 0o644, 0o4711, 0o1777, 0);
const { tree } = fc.letrec<{ tree: Tree; thing: Thing }>((tie) => ({
  tree: fc.dictionary(name, tie('thing'), { maxKeys: 4, depthIdentifier: 'tree' }),
  thing: fc.oneof(
    { depthIdentifier: 'tree', maxDepth: 3 },
    fc.record({ kind: fc.constant('file' as const), content: fc.constantFrom('', 'x', 'yy'), mode }),
    fc.record({ kind: fc.constant('symlink' as const), target: fc.constantFrom('a', '/a/b', '../..', 'nowhere') }),
    fc.record({ kind: fc.constant('folder' as const), mode, in: tie('tree') }),
  ),
}));

/** Some trees, each the state after one more layer. */
export const trees = fc.array(tree, { minLength: 1, maxLength: 4 });

const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');

/** The layer that makes `after` of `before`, as builders write one; `opaque` where a folder may be told as a whole. */
export function changes(before: Tree, after: Tree, opaque: boolean, path = ''): TarEntry[] {
  const entries: TarEntry[] = [];
  const gone = Object.keys(before).filter((each) => !(each in after));
  const isOpaque = opaque && gone.length > 0;
  if (isOpaque) entries.push({ name: bytes(`${path}.wh..wh..opq`) });
  else for (const each of gone) entries.push({ name: bytes(`${path}.wh.${each}`) });
  for (const [each, thing] of Object.entries(after)) {
    const was = isOpaque ? undefined : before[each];
    const at = path + each;
    if (thing.kind === 'folder') {
      entries.push({ name: bytes(`${at}/`), mode: thing.mode });
      entries.push(...changes(was?.kind === 'folder' ? was.in : {}, thing.in, opaque, `${at}/`));
    } else if (JSON.stringify(thing) !== JSON.stringify(was)) {
      if (thing.kind === 'symlink') entries.push({ name: bytes(at), link: thing.target });
      else entries.push({ name: bytes(at), content: thing.content, mode: thing.mode });
    }
  }
  return entries;
}
