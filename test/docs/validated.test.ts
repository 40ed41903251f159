import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { refusalOfEnclaver } from './commands/enclaver.ts';
import { fencedBlocks, shellBlocks } from './commands/markdown.ts';
import { problemOf } from './commands/programs.ts';
import { callsIn } from './commands/shell.ts';

const root = resolve(import.meta.dirname, '../..');
const documents = globSync(['*.md', '{docs,examples,libs}/**/*.md'], {
  cwd: root,
  exclude: (path) => path.includes('node_modules'),
}).sort();
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Of blocks that hold no command. */
const LANGUAGES = ' console Dockerfile go html ini java js json python ruby rust text ts yaml'.split(' ');

/** Each command that a document shows is one that its program takes, whether or not a test runs it, too. */
describe('commands of the documentation', function () {
  this.timeout(120_000);

  it('stand in blocks that are marked so', () => {
    const others = documents.flatMap((path) =>
      fencedBlocks(read(path))
        .filter(({ language }) => language !== 'sh' && !LANGUAGES.includes(language))
        .map(({ language, line }) => `${path}:${line}: ${language}`),
    );
    assert.deepEqual(others, []);
    assert.ok(documents.includes('docs/operate.md') && documents.includes('README.md'));
  });

  for (const path of documents) {
    const blocks = shellBlocks(read(path));
    if (blocks.length === 0) continue;
    it(path, async () => {
      const calls = blocks.flatMap(({ text, line }) => callsIn(text).map((call) => ({ call, line })));
      assert.ok(calls.length > 0);
      const problems = await Promise.all(
        calls.map(async ({ call, line }) => ({ line, problem: await problemOf(call) })),
      );
      assert.deepEqual(
        problems.filter(({ problem }) => problem !== undefined),
        [],
      );
    });
  }

  /** Named in a sentence, a command need not be whole. */
  const UNFINISHED = /missing(Argument|MandatoryOptionValue)|optionMissingArgument|invalidArgument/;

  it('in the text, those of `enclaver`, too', () => {
    const problems = documents.flatMap((path) =>
      [...read(path).matchAll(/`enclaver ([^`]+)`/g)].flatMap(([span, words = '']) => {
        // `<eif>` stands for a word, `a|b` for either, `…` for more
        const args =
          words
            .split(' > ')[0]
            ?.split(' ')
            .map((word) => word.replaceAll(/[<>[\]…]|\|.*/g, '')) ?? [];
        const refusal = refusalOfEnclaver(args.filter((word) => word !== ''));
        return refusal === undefined || UNFINISHED.test(refusal.code) ? [] : [`${path}: ${span}: ${refusal.message}`];
      }),
    );
    assert.deepEqual(problems, []);
  });

  it('in the text, those of other programs, too', async () => {
    const spans = documents.flatMap((path) =>
      [...read(path).matchAll(/`((?:docker compose|kubectl|npm|scripts\/(?:engine|setup)|systemctl) [^`<…]+)`/g)].map(
        ([, span = '']) => span,
      ),
    );
    assert.ok(spans.length > 20);
    const problems = await Promise.all([...new Set(spans)].flatMap(callsIn).map(problemOf));
    assert.deepEqual(
      problems.filter((problem) => problem !== undefined),
      [],
    );
  });

  it('are told apart from what no program takes', async () => {
    const wrong = [
      'enclaver ps --al',
      'enclaver start web',
      'enclaver run --restart sometimes web.eif',
      'sudo enclaver logs -z web',
      'a=b && echo $(enclaver ps -q)',
      "unshare -n sh -c 'exec enclaver ps -q'",
      'docker compose up --no-dep log-relay',
      'docker compose up -d log-rely',
      'docker stp enclaver-outer-proxy-1',
      'systemctl restart enclaver-log-rely',
      'systemctl reboot',
      'kubectl apply -k deploy/kubernetes/apps',
      'kubectl label nod --al',
      'kubectl set image pod/POD outer-prox=registry.example/enclaver/outer-prox:1',
      'nats sub',
      'nats kv get enclaver_enclaves e-0 --row',
      'nats-server --config',
      'node services/webhook/src/main.ts',
      'npm run biuld',
      'scripts/setup --only runtme',
      'cp -r deploy/systemd/*.unit /etc/systemd/system/',
      'unheard-of',
    ];
    for (const script of wrong) {
      const problems = await Promise.all(callsIn(script).map(problemOf));
      assert.ok(
        problems.some((problem) => problem !== undefined),
        script,
      );
    }
    assert.throws(() => callsIn('enclaver ps "'));
  });
});
