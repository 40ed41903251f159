import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { TarEntry } from '../../../../test/images/tar.ts';
import { Bench, lines, readRamdisk } from '../support.ts';

/** A file tree as people think of one: what a name is, folders with what is in them. */
type Tree = { [name: string]: Thing };
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

const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');

/** The layer that makes `after` of `before`, as builders write one; `opaque` where a folder may be told as a whole. */
function diff(before: Tree, after: Tree, opaque: boolean, path = ''): TarEntry[] {
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
      entries.push(...diff(was?.kind === 'folder' ? was.in : {}, thing.in, opaque, `${at}/`));
    } else if (JSON.stringify(thing) !== JSON.stringify(was)) {
      if (thing.kind === 'symlink') entries.push({ name: bytes(at), link: thing.target });
      else entries.push({ name: bytes(at), content: thing.content, mode: thing.mode });
    }
  }
  return entries;
}

function describeTree(tree: Tree, path = ''): string[] {
  return Object.entries(tree).flatMap(([each, thing]) => {
    const at = path + each;
    if (thing.kind === 'symlink') return [`${at} 120777 0:0 ${thing.target}`];
    const octal = thing.mode.toString(8).padStart(4, '0');
    if (thing.kind === 'file') {
      const mode = `10${octal}`;
      return [`${at} ${mode} 0:0${thing.content === '' ? '' : ` ${thing.content}`}`];
    }
    return [`${at} 4${octal.replace(/^0/, '0')} 0:0`, ...describeTree(thing.in, `${at}/`)];
  });
}

describe('layers that are the differences of random trees', () => {
  it('give the last tree, whichever way the differences are told and ordered', async () => {
    await using bench = await Bench.create();
    const property = fc.asyncProperty(
      fc.array(tree, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.boolean(),
      async (trees, opaque, whiteoutsLast) => {
        const layers = trees.map((after, index) => {
          const entries = diff(trees[index - 1] ?? {}, after, opaque);
          const isWhiteout = (entry: TarEntry): boolean =>
            /(^|\/)\.wh\./.test(Buffer.from(entry.name).toString('latin1'));
          if (!whiteoutsLast) return entries;
          return [...entries.filter((entry) => !isWhiteout(entry)), ...entries.filter(isWhiteout)];
        });
        await bench.buildLayers(...layers);
        const found = lines(await readRamdisk(bench.file('app.eif')));
        const expected = describeTree(trees.at(-1) ?? {});
        assert.deepEqual(found.toSorted(), expected.map(trimMode).toSorted());
      },
    );
    await fc.assert(property, { numRuns: 30 });
  });
});

/** `lines` writes modes without leading zeros. */
function trimMode(line: string): string {
  return line.replace(
    / 4(\d{4}) 0:0$/,
    (_, octal: string) => ` ${(0o40000 + Number.parseInt(octal, 8)).toString(8)} 0:0`,
  );
}
