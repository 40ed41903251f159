import { existsSync } from 'node:fs';
import { summaryTable } from '../harness/table.ts';
import { publish, type Result, roundsOf } from '../results.ts';
import { type Contender, cat, type Load, ours, RSYSLOG, rsyslog, type Took } from './contenders.ts';

const LOADS: readonly (Load & { name: string; goal?: number })[] = [
  { name: 'lines of 100 bytes', lines: 300_000, bytes: 100, streams: 'one', goal: 200_000 },
  { name: 'the same, to stdout and stderr in turn', lines: 300_000, bytes: 100, streams: 'two', goal: 200_000 },
  { name: 'lines of 1,000 bytes', lines: 60_000, bytes: 1_000, streams: 'one' },
];

const rounds = roundsOf(process.argv[2], 5);

const contenders: Contender[] = [];
try {
  const bus = await ours('ours, to the bus', { file: false });
  contenders.push(bus);
  const file = await ours('ours', { file: true });
  contenders.push(file, cat());
  if (existsSync(RSYSLOG)) contenders.push(await rsyslog());
  const results: Result[] = [];
  for (const load of LOADS) {
    const took = new Map(contenders.map((contender) => [contender, [] as Took[]]));
    for (let round = 0; round <= rounds; round++) {
      for (const [contender, all] of took) {
        const one = await contender.run(round === 0 ? { ...load, lines: load.lines / 5 } : load);
        if (round > 0) all.push(one);
      }
      process.stderr.write(`${load.name}: round ${round} of ${rounds}\n`);
    }
    const rates = (contender: Contender) => took.get(contender)?.map(({ seconds }) => load.lines / seconds) ?? [];
    const costs = (contender: Contender) => took.get(contender)?.map(({ cpu }) => (cpu * 1e6) / load.lines) ?? [];
    const toFile = Object.fromEntries(
      contenders.filter((each) => each !== bus).map((each) => [each.name, rates(each)]),
    );
    results.push(
      {
        metric: `${load.name}, to the bus`,
        unit: 'lines/s',
        better: 'more',
        samples: { ours: rates(bus) },
        ...(load.goal === undefined ? {} : { goal: { value: load.goal } }),
      },
      { metric: `${load.name}, to the bus and a file`, unit: 'lines/s', better: 'more', samples: toFile },
      {
        metric: `${load.name}, to the bus: processor time of all`,
        unit: 'µs a line',
        better: 'less',
        samples: { ours: costs(bus) },
      },
    );
  }
  publish(results);
  process.stdout.write(`${summaryTable(new Map([['log', results]]))}\n`);
  if (!existsSync(RSYSLOG)) process.stdout.write('\nNot measured, because not installed: rsyslog\n');
} finally {
  for (const contender of contenders) await contender[Symbol.asyncDispose]();
}
