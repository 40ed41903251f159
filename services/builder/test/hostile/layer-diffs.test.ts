import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { TarEntry } from '../../../../test/images/tar.ts';
import { Bench, lines, readRamdisk } from '../support.ts';
import { changes, type Tree, trees } from './random-tree.ts';

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
    const property = fc.asyncProperty(trees, fc.boolean(), fc.boolean(), async (states, opaque, whiteoutsLast) => {
      const layers = states.map((after, index) => {
        const entries = changes(states[index - 1] ?? {}, after, opaque);
        const isWhiteout = (entry: TarEntry): boolean =>
          /(^|\/)\.wh\./.test(Buffer.from(entry.name).toString('latin1'));
        if (!whiteoutsLast) return entries;
        return [...entries.filter((entry) => !isWhiteout(entry)), ...entries.filter(isWhiteout)];
      });
      await bench.buildLayers(...layers);
      const found = lines(await readRamdisk(bench.file('app.eif')));
      const expected = describeTree(states.at(-1) ?? {});
      assert.deepEqual(found.toSorted(), expected.map(trimMode).toSorted());
    });
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
