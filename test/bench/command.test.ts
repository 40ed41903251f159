import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../bench/main.ts');

function bench(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...words], { encoding: 'utf8' });
}

describe('npm run bench', function () {
  this.timeout(300_000);

  it('names its parts, and refuses others', () => {
    assert.match(bench('--help').stdout, /^ {2}relay {5}\s/m);
    const { status, stderr } = bench('relais');
    assert.equal(status, 2);
    assert.match(stderr, /^no part is named relais; there are relay, /);
  });

  it('refuses what is no number, no revision, or too old', () => {
    for (const [words, message] of [
      [['bus', '--pairs', 'many'], /^--pairs is many; it is a whole number from 1\n$/],
      [['bus', '--against', 'no-such-branch'], /^no-such-branch is no revision of this repository/],
      [['bus', '--quick', '--write'], /^--write takes all rounds; leave --quick out\n$/],
    ] as const) {
      const { status, stderr } = bench(...words);
      assert.equal(status, 2);
      assert.match(stderr, message);
    }
  });

  it('compares a part with another revision, and takes its checkout away', () => {
    const { status, stdout, stderr } = bench('bus', '--against', 'HEAD', '--pairs', '1');
    assert.equal(status, 0, stderr);
    const rows = stdout
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .slice(2);
    assert.equal(rows.length, 3, stdout);
    // One of each is too few to tell anything
    for (const row of rows) assert.match(row, /\| 1\.000 \| no difference \|$/);
    const trees = spawnSync('git', ['worktree', 'list'], { encoding: 'utf8', cwd: import.meta.dirname }).stdout;
    assert.doesNotMatch(trees, /enclaver-against-/);
  });
});
