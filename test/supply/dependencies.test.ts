import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const INTEGRITY = `sha512-${'A'.repeat(86)}==`;

/** `npm run check` runs it on this checkout; here it is given others. */
describe('scripts/dependencies.ts', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'enclaver-dependencies-'));
    cpSync(join(root, '.npmrc'), join(folder, '.npmrc'));
    cpSync(join(root, 'docs/dependencies.md'), join(folder, 'docs/dependencies.md'));
    write({ zod: '4.0.0' }, { 'node_modules/zod': { license: 'MIT', integrity: INTEGRITY } });
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  function write(dependencies: Record<string, string>, packages: Record<string, object>): void {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ dependencies }));
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages }));
  }

  function check(): { code: number | null; faults: string[] } {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/dependencies.ts'), folder], {
      encoding: 'utf8',
    });
    return { code: status, faults: stderr.trim().split('\n') };
  }

  it('takes packages with a hash and a licence of the list', () => {
    assert.deepEqual(check(), { code: 0, faults: [''] });
  });

  it('names what is wrong with a package', () => {
    const good = { license: 'MIT', integrity: INTEGRITY };
    write(
      { zod: '^4.0.0', leftpad: '1.0.0' },
      {
        'node_modules/zod': { ...good, license: 'AGPL-3.0' },
        'node_modules/a': { license: 'MIT' },
        'node_modules/b/node_modules/a': { ...good, hasInstallScript: true },
        'node_modules/c': { ...good, resolved: 'https://example.com/c.tgz' },
        'node_modules/d': { integrity: INTEGRITY },
      },
    );
    assert.deepEqual(check(), {
      code: 1,
      faults: [
        'node_modules/zod: its licence is AGPL-3.0',
        'node_modules/a: no SHA-512 in the lockfile',
        'node_modules/b/node_modules/a: has an install script',
        'node_modules/c: the lockfile has an address for it',
        'node_modules/d: its licence is not known',
        'package.json: zod is not pinned: ^4.0.0',
        'docs/dependencies.md: nothing of leftpad',
      ],
    });
  });

  it('wants install scripts to be off', () => {
    const settings = readFileSync(join(folder, '.npmrc'), 'utf8');
    writeFileSync(join(folder, '.npmrc'), settings.replace('ignore-scripts=true', 'ignore-scripts=false'));
    assert.deepEqual(check(), { code: 1, faults: ['.npmrc: ignore-scripts=true is missing'] });
  });
});
