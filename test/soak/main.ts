// scripts/soak: the whole stack for a long time under load, with flat memory and nothing lost. docs/soak.md
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { soakOptions } from './options.ts';
import { failuresOf, faultsOf, tables } from './report.ts';
import { soak } from './soak.ts';

const { values } = parseArgs({ options: soakOptions });
const [connections, minutes, load, seed] = [values.connections, values.minutes, values.load, values.seed].map(Number);
if (values.help || !(connections && minutes && load && seed)) {
  console.error(`usage: scripts/soak [--connections N] [--minutes M] [--load PART] [--seed N] [--out FOLDER]

  --connections N   at least so many (1,000,000)
  --minutes M       at least so long (120)
  --load PART       of what the stack was just measured to bear (0.7)
  --out FOLDER      gets samples.csv while it runs, and report.md (dist/soak)

Exit code 0: nothing grew, failed or was lost. 1: something did. SIGTERM and SIGINT end it early, with a report.`);
  process.exit(values.help ? 0 : 2);
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
// It goes on when the terminal goes, as under nohup
process.on('SIGHUP', () => {});
const folder = values.out;
mkdirSync(folder, { recursive: true });
const say = (text: string): void => console.error(text);
const outcome = await soak({ connections, minutes, load, seed, folder, stopped: stop.signal, say });
const faults = faultsOf(outcome);
const verdict = faults.length === 0 ? 'Flat, and nothing lost.' : `Not well: ${faults.join('; ')}.`;
const failures = failuresOf(outcome).map((line) => `${line}\n`);
const report = `${tables(outcome)}\n\nSeed ${seed}. ${verdict}\n${failures.length === 0 ? '' : `\n${failures.join('')}`}`;
writeFileSync(join(folder, 'report.md'), report);
console.log(report);
process.exit(faults.length === 0 ? 0 : 1);
