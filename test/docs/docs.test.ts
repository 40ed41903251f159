import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Policy, parseDestination } from '@enclaver/egress-policy';
import { parseIpAddress } from '@enclaver/manifest';
import ts from 'typescript';
import { connectTarget } from '../../odyn/src/egress/request-target.ts';
import { codeSpans, missingTests, tables } from './tables.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const find = (...patterns: string[]): string[] => globSync(patterns, { cwd: root }).sort();

interface Codes {
  /** In a type: `type XErrorCode = 'A' | 'B'`, or a property `code: 'A' | 'B'`. */
  readonly declared: Set<string>;
  /** In an expression. */
  readonly given: Set<string>;
}

const CODE = /^[A-Z][A-Z0-9_]*$/;

/**
 * Error codes of our sources. A code is what a type of codes lists, the first argument of `new XError(…)`, or the value of
 * a property `code`; numbers of the system (`ENOENT`) are not ours.
 */
function codesOfSources(): Codes {
  const declared = new Set<string>();
  const thrown = new Set<string>();
  const literals = new Set<string>();
  const isCode = (node: ts.Node): node is ts.StringLiteral =>
    ts.isStringLiteral(node) && CODE.test(node.text) && !Object.hasOwn(constants.errno, node.text);
  const collect = (node: ts.Node, into: Set<string>): void => {
    if (isCode(node)) into.add(node.text);
    ts.forEachChild(node, (child) => collect(child, into));
  };
  const branches = (node: ts.Expression): ts.Expression[] =>
    ts.isConditionalExpression(node) ? [...branches(node.whenTrue), ...branches(node.whenFalse)] : [node];
  const give = (node: ts.Expression | undefined): void => {
    if (node === undefined) return;
    for (const branch of branches(node)) if (isCode(branch)) thrown.add(branch.text);
  };
  const visit = (node: ts.Node): void => {
    if (isCode(node) && !ts.isLiteralTypeNode(node.parent)) literals.add(node.text);
    if (ts.isTypeAliasDeclaration(node) && node.name.text.endsWith('Code')) collect(node.type, declared);
    if (ts.isPropertyDeclaration(node) && node.name.getText() === 'code') {
      if (node.type !== undefined) collect(node.type, declared);
      give(node.initializer);
    }
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'code') give(node.initializer);
    if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text.endsWith('Error'))
      give(node.arguments?.[0]);
    ts.forEachChild(node, visit);
  };
  for (const path of find('{libs,services}/*/{src,scripts}/**/*.ts', 'odyn/{src,build}/**/*.ts', 'cli/src/**/*.ts'))
    visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true));
  return { declared, given: new Set([...thrown, ...[...declared].filter((code) => literals.has(code))]) };
}

/** Codes of the console lines of PID 1, as `log_error` and its like are given them. */
function codesOfInit(): string[] {
  return find('odyn/init/*.c').flatMap((path) =>
    [...read(path).matchAll(/(?:"|init: )(E_[A-Z0-9]+)\b/g)].map(([, code = '']) => code),
  );
}

const sorted = (codes: Iterable<string>): string[] => [...new Set(codes)].sort();

describe('docs', () => {
  it('errors.md lists every code that the sources give, once, and no other', () => {
    const { declared, given } = codesOfSources();
    const inSources = sorted([...given, ...codesOfInit()]);
    assert.ok(inSources.length > 100, 'the sources were searched');
    assert.deepEqual(
      sorted(declared).filter((code) => !given.has(code)),
      [],
      'declared, but nothing gives it',
    );
    const listed = tables(read('docs/errors.md'), 'Code').flatMap(([cell = '']) => codeSpans(cell));
    assert.deepEqual(sorted(listed), inSources);
    assert.deepEqual(
      listed.filter((code, index) => listed.indexOf(code) !== index),
      [],
      'listed twice',
    );
  });

  it('services.md lists every environment variable of a service, and no other', () => {
    const inSources = find('services/*/src/{main,config}.ts', 'libs/bus/src/service-process.ts').flatMap((path) =>
      [...read(path).matchAll(/^\s+(ENCLAVER_[A-Z_]+): /gm)].map(([, name = '']) => name),
    );
    const others = sorted(
      find('services/*/src/**/*.ts', 'libs/*/src/**/*.ts').flatMap((path) =>
        [...read(path).matchAll(/process\.env\.([A-Z_]+)/g)].map(([, name = '']) => name),
      ),
    );
    assert.ok(inSources.includes('ENCLAVER_BUS'));
    const listed = tables(read('docs/services.md'), 'Variable').flatMap(([cell = '']) => codeSpans(cell));
    const foreign = ['DOCKER_HOST'];
    assert.deepEqual(sorted(listed), sorted([...inSources, ...others, ...foreign]));
  });

  describe('pitfalls.md', () => {
    const rows = tables(read('docs/pitfalls.md'), 'Pitfall');

    it('has every fault of the original', () => {
      const faults = rows.flatMap(([pitfall = '']) => /^D\d+/.exec(pitfall)?.[0] ?? []);
      assert.deepEqual(
        faults,
        Array.from({ length: 17 }, (_, index) => `D${index + 1}`),
      );
    });

    for (const [pitfall = '', tests = ''] of rows) {
      it(`${pitfall}: the tests are there`, () => {
        assert.deepEqual(missingTests(tests), []);
      });
    }
  });

  it('pitfalls.md names a test for every vector', () => {
    const rows = tables(read('docs/pitfalls.md'), 'Vector').map((cells) => cells.map(codeSpans));
    const named = rows.flatMap(([[pattern = ''] = []]) => find(pattern));
    assert.deepEqual(sorted(named), find('{libs,tools}/*/test/vectors/**/*.*', '{odyn,cli}/test/vectors/**/*.*'));
    for (const path of rows.flatMap(([, tests = []]) => tests)) assert.ok(existsSync(join(root, path)), path);
  });

  describe('egress.md', () => {
    const markdown = read('docs/egress.md');
    const policyOf = (rules: string): Policy => {
      const all = codeSpans(rules).map((rule) => rule.split(' ') as [string, string]);
      const of = (kind: string): string[] => all.filter(([each]) => each === kind).map(([, pattern]) => pattern);
      return new Policy({ allow: of('allow'), deny: of('deny') });
    };
    const patterns = tables(markdown, 'Pattern');
    const rules = tables(markdown, 'Rules');
    const resolved = tables(markdown, 'Name rules');

    it('has examples', () => {
      assert.ok(patterns.length >= 20 && rules.length >= 5 && resolved.length >= 5);
    });

    for (const [pattern = '', target = '', allowed] of patterns) {
      it(`allow ${pattern}: ${target} ${allowed}`, () => {
        const policy = new Policy({ allow: codeSpans(pattern), deny: [] });
        assert.equal(policy.decide(connectTarget(codeSpans(target)[0] ?? '')).allowed, allowed === 'yes');
      });
    }

    for (const [given = '', target = '', allowed] of rules) {
      it(`${given}: ${target} ${allowed}`, () => {
        assert.equal(policyOf(given).decide(connectTarget(codeSpans(target)[0] ?? '')).allowed, allowed === 'yes');
      });
    }

    for (const [given = '', name = '', address = '', allowed] of resolved) {
      it(`${given}: ${name} that leads to ${address} ${allowed}`, () => {
        const policy = policyOf(given);
        const destination = parseDestination(codeSpans(name)[0] ?? '', 443);
        const dialled = parseIpAddress(codeSpans(address)[0] ?? '');
        assert.ok(dialled !== undefined && policy.decide(destination).allowed, 'the name itself is open');
        assert.equal(policy.decideDialled(destination, dialled).allowed, allowed === 'yes');
      });
    }
  });

  it('kms.md has the programs of examples/kms as they are', () => {
    for (const name of readdirSync(join(root, 'examples/kms'))) {
      assert.ok(read('docs/kms.md').includes(read(`examples/kms/${name}`)), name);
    }
  });

  it('has no dead link to a file', () => {
    const documents = find('*.md', '{docs,examples,libs,services,odyn,cli,test,bench,deploy}/**/*.md').filter(
      (path) => !path.includes('node_modules'),
    );
    assert.ok(documents.includes('README.md') && documents.includes('docs/errors.md'));
    const dead = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => {
          const place = join(root, dirname(path), target);
          return !existsSync(place) || (target.endsWith('/') && !statSync(place).isDirectory());
        })
        .map((target) => `${path}: ${target}`),
    );
    assert.deepEqual(dead, []);
  });

  it('has no dead link to a heading', () => {
    // As GitHub names them
    const anchors = (path: string): string[] =>
      [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
          .replaceAll(' ', '-'),
      );
    const documents = find('*.md', '{docs,examples,libs}/**/*.md').filter((path) => !path.includes('node_modules'));
    const dead = documents.flatMap((path) =>
      [...read(path).matchAll(/\]\(([^)#\s:]*)#([^)\s]+)\)/g)]
        .filter(([, file = '']) => file === '' || file.endsWith('.md'))
        .filter(
          ([, file = '', anchor = '']) => !anchors(file === '' ? path : join(dirname(path), file)).includes(anchor),
        )
        .map(([link]) => `${path}: ${link}`),
    );
    assert.deepEqual(dead, []);
  });

  it('names no document of docs/ in sources and documents that is not there', () => {
    const named = find('{libs,services}/*/src/**/*.ts', 'odyn/{src,build}/**/*.ts', 'cli/src/**/*.ts', '*.md').flatMap(
      (path) => [...read(path).matchAll(/\bdocs\/[\w./-]+?\.md/g)].map(([document]) => document),
    );
    assert.ok(named.length > 3);
    assert.deepEqual(
      sorted(named).filter((document) => !existsSync(join(root, document))),
      [],
    );
  });

  it('decisions have the number of their file', () => {
    const numbers = find('docs/decisions/*.md').map((path) => {
      const number = /(\d{4})-[a-z-]+\.md$/.exec(path)?.[1];
      assert.match(read(path), new RegExp(`^# ${number}: \\S`), path);
      return Number(number);
    });
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
    );
  });
});
