// npm run fuzz: looks for inputs that a reader of hostile bytes does not bear, guided by what they cover. docs/fuzzing.md
import { parseArgs } from 'node:util';
import { runFuzzer } from './engine/run.ts';
import { haveHeld, report, revision } from './report.ts';
import { targets } from './targets.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '600' },
    all: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const asked = values.all ? targets.map(({ name }) => name) : positionals;
const unknown = asked.filter((name) => !targets.some((target) => target.name === name));
const seconds = Number(values.seconds);

if (values.help || asked.length === 0 || unknown.length > 0 || !(seconds > 0)) {
  console.error(`usage: npm run fuzz -- TARGET... | --all  [--seconds N] [--keep]

  --all         those that have not had their time at this commit yet, so that a run that was ended can be gone on with
  --seconds N   for each target (600)
  --keep        put what it has found to be worth it into test/fuzz/corpus

targets: ${targets.map(({ name }) => name).join(' ')}`);
  for (const name of unknown) console.error(`no target is called ${name}`);
  process.exit(values.help ? 0 : 2);
}

const failed: string[] = [];
const at = revision();
const held = values.all ? haveHeld(at, seconds) : new Set<string>();
if (held.size > 0) console.log(`held at ${at} already: ${[...held].join(' ')}`);
for (const target of targets.filter(({ name }) => asked.includes(name) && !held.has(name))) {
  const outcome = await runFuzzer(target, { args: [`-max_total_time=${seconds}`], keep: values.keep });
  report(at, target.name, seconds, outcome);
  const { inputs, covered, news } = outcome;
  console.log(
    `${target.name}: ${inputs} inputs in ${outcome.seconds} s, ${covered} features covered, ${news} new inputs`,
  );
  if (outcome.failure !== undefined) {
    console.log(outcome.failure);
    failed.push(target.name);
  }
}
if (failed.length > 0) console.log(`failed: ${failed.join(' ')}`);
process.exit(failed.length > 0 ? 1 : 0);
