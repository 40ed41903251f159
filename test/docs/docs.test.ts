import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { parseDestination } from '../../odyn/src/egress/destination.ts';
import { Policy } from '../../odyn/src/egress/policy.ts';

const root = new URL('../../', import.meta.url).pathname;
const tracked = (...patterns: string[]): string[] =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', ...patterns], {
    cwd: root,
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => file !== '' && existsSync(join(root, file)));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Where an error code stands in our code: made, listed in a union, given as `code`. */
const CODE = /(?:Error\(\s*|code: |\| )'([A-Z][A-Z0-9_]{3,})'/g;
/** Codes of others that we pass on or compare. */
const FOREIGN = /^(E[A-Z]+|ES\d+|UND_\w+)$/;

describe('documents', () => {
  it('have no dead links', () => {
    for (const file of tracked('*.md')) {
      for (const [, target] of read(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
        if (target === undefined || /^[a-z]+:/.test(target)) continue;
        const path = normalize(join(root, dirname(file), target));
        assert.ok(existsSync(path), `${file} leads to ${target}, which is not there`);
      }
    }
  });

  it('explain every error code', () => {
    const document = read('docs/errors.md');
    const sources = tracked('libs/*/src/*', 'services/*/src/*', 'odyn/src/*', 'cli/src/*').filter((file) =>
      file.endsWith('.ts'),
    );
    const missing = new Set<string>();
    for (const file of sources) {
      for (const [, code] of read(file).matchAll(CODE)) {
        if (code !== undefined && !FOREIGN.test(code) && !document.includes(`\`${code}\``))
          missing.add(`${code} of ${file}`);
      }
    }
    assert.deepEqual([...missing], []);
  });

  it('explain no code that is gone', () => {
    const sources = tracked('libs/*/src/*', 'services/*/src/*', 'odyn/src/*', 'odyn/init/*', 'cli/src/*')
      .map(read)
      .join('\n');
    const codes = [...read('docs/errors.md').matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`/g)].map(([, code]) => code ?? '');
    assert.deepEqual(
      codes.filter((code) => !sources.includes(code)),
      [],
    );
  });

  it('name every variable of the services', () => {
    const document = read('docs/services.md');
    const sources = tracked('services/*/src/*', 'libs/bus/src/service-process.ts').map(read).join('\n');
    const names = new Set(
      [...sources.matchAll(/^\s+(ENCLAVER_[A-Z_]+): (?:z|folder)/gm)].map(([, name]) => name ?? ''),
    );
    assert.ok(names.size >= 6);
    for (const name of names) assert.ok(document.includes(`\`${name}\``), name);
  });

  describe('egress rules do what docs/egress.md says', () => {
    for (const [, rule, target, open] of read('docs/egress.md').matchAll(/^\| `(.+?)` \| `(.+?)` \| (yes|no) \|$/gm)) {
      it(`${rule} ${open === 'yes' ? 'opens' : 'does not open'} ${target}`, () => {
        const policy = new Policy({ allow: [rule ?? ''], deny: [] });
        const [, host, port] = /^(.*):(\d+)$/.exec(target ?? '') ?? [];
        assert.equal(policy.decide(parseDestination(host ?? '', Number(port))).allowed, open === 'yes');
      });
    }
  });
});
