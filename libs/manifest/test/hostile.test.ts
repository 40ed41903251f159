import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeManifest, MAX_MANIFEST_BYTES, ManifestError, parseManifest } from '../src/index.ts';
import { minimal, problemsOf, refusalOf } from './support.ts';

describe('hostile YAML', () => {
  const only = (source: string | Uint8Array): { code: string; found: string } => {
    const error = refusalOf(source);
    assert.equal(error.problems.length, 1);
    return { code: error.code, found: error.problems[0]?.found ?? '' };
  };

  it('refuses aliases that expand without measure', () => {
    const levels = ['a: &a [x,x,x,x,x,x,x,x,x]'];
    for (const [before, now] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map((pair) => pair.split(''))) {
      levels.push(`${now}: &${now} [${Array(9).fill(`*${before}`).join(',')}]`);
    }
    const { code, found } = only(levels.join('\n'));
    assert.equal(code, 'MANIFEST_YAML');
    assert.match(found, /[Aa]lias/);
  });

  it('refuses an alias of what it stands in', () => {
    assert.ok(problemsOf(minimal('ingress: &a [*a]\n')).length > 0);
  });

  it('refuses deep nesting of every kind', () => {
    const deep = ['[', '{a: ', '- ', '? ', '{? ', '[{'].map((opening) => opening.repeat(200_000));
    deep.push(Array.from({ length: 900 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''));
    for (const text of deep) assert.match(only(text).found, /nesting deeper than 16/);
  });

  it('refuses more entries than any manifest has', () => {
    for (const text of [
      '- \n'.repeat(200_000),
      `{${'a,'.repeat(300_000)}}`,
      Array.from({ length: 50_000 }, (_, index) => `k${index}: 1\n`).join(''),
    ]) {
      assert.match(only(text).found, /more than 10000 entries/);
    }
  });

  it('refuses a file over 1 MiB unread, and takes one of 1 MiB', () => {
    const error = refusalOf(minimal(`#${' '.repeat(MAX_MANIFEST_BYTES)}`));
    assert.equal(error.code, 'MANIFEST_TOO_LARGE');
    const text = minimal();
    assert.equal(parseManifest(`${text}#${'x'.repeat(MAX_MANIFEST_BYTES - text.length - 1)}`).name, 'app');
  });

  it('takes a byte order mark, and loses nothing of a text', () => {
    const text = `\ufeff${minimal()}# ü \r\n`;
    const bytes = Buffer.from(text);
    assert.equal(decodeManifest(bytes, 'enclaver.yaml'), text);
    assert.deepEqual(parseManifest(bytes), parseManifest(minimal()));
  });

  it('refuses what is not one plain YAML document in UTF-8', () => {
    assert.match(only(Buffer.from([0x6e, 0xff, 0xfe])).found, /not UTF-8/);
    assert.match(only(`${minimal()}name: again\n`).found, /unique/);
    assert.match(only(`${minimal()}---\n${minimal()}`).found, /multiple documents/);
    assert.match(only(minimal().replace('name: app', 'name: !own app')).found, /tag/);
    assert.match(only(minimal('egress: *nowhere\n')).found, /alias/);
    assert.equal(refusalOf('a: [1').code, 'MANIFEST_YAML');
    assert.equal(refusalOf('\t- a: b').code, 'MANIFEST_YAML');
  });

  it('gives line and column of a YAML fault', () => {
    const [problem] = problemsOf(minimal('name: again\n'));
    assert.deepEqual([problem?.line, problem?.column], [6, 1]);
  });

  it('does not merge with <<, which YAML 1.2 does not know', () => {
    assert.deepEqual(
      problemsOf(minimal('<<: {api: {listen_port: 1}}\n')).map(({ path }) => path),
      ['["<<"]'],
    );
  });

  it('keeps messages short and on their lines, whatever the keys and values', () => {
    const long = 'x'.repeat(100_000);
    for (const more of [
      `${long}: 1`,
      `"a\\nb\\e[31m": 1`,
      `egress: {allow: ["${long}", "${long}é", "[${long}]", "10.0.0.0/${long}", "a:${long}", "${'a.'.repeat(50_000)}"]}`,
      `api: {listen_port: "${long}"}`,
      `api: !${long} 1`,
      `api: *${long}`,
      `api: !\u001b[31m 1`,
      `egress: {allow: [a]}\nkms_proxy: {listen_port: 1, endpoints: {"${long}": a, us-east-1: "${long}!"}}`,
    ]) {
      const { message, problems } = refusalOf(minimal(more));
      assert.equal(message.split('\n').length, problems.length);
      assert.ok(message.length < 1000 * problems.length, `${message.length}`);
      assert.equal(message.includes('\u001b'), false);
    }
  });

  it('fails with its own error alone, on any text', () => {
    const fragment = fc.oneof(
      fc.constantFrom(
        'version: v1\n',
        'name: a\n',
        'egress:\n',
        '  allow: [',
        '- ',
        '? ',
        ': ',
        '&a ',
        '*a ',
        '!!x ',
        '|\n',
        '"',
        "'",
        '{',
        '}',
        ']',
        '\n',
        '%YAML 1.1\n',
        '---\n',
        '...\n',
        '#',
        '\t',
      ),
      fc.string({ unit: 'binary', maxLength: 10 }),
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 30 }), (fragments) => {
        try {
          parseManifest(fragments.join(''));
        } catch (error) {
          assert.ok(error instanceof ManifestError, String(error));
          for (const { line, column, found, allowed } of error.problems) {
            assert.ok(line >= 1 && column >= 1 && found !== '' && allowed !== '');
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('fails with its own error alone, on any value in place of any other', () => {
    const keys = [
      'version',
      'name',
      'target',
      'sources',
      'signature',
      'ingress',
      'egress',
      'defaults',
      'kms_proxy',
      'api',
      'spire',
    ];
    const inner = ['app', 'odyn', 'supervisor', 'listen_port', 'tls', 'allow', 'endpoints', 'cpu_count', '__proto__'];
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(null, true, 0, -1, 1e99, '', 'v1', 'host', '10.0.0.0/8'),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys, ...inner), tie('tree'), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), tree), (value) => {
        try {
          parseManifest(JSON.stringify(value));
        } catch (error) {
          assert.ok(error instanceof ManifestError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
