import { type EnclaveRecord, hasEnded, toErrorData } from '@enclaver/bus';
import type { Command } from 'commander';
import { FleetMemory, type KnownHost } from '../fleet-memory.ts';
import { openFleet } from '../fleet-session.ts';
import { formatDuration } from '../output/duration.ts';
import { describeResult } from '../output/events.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { formatTable } from '../output/table.ts';
import { formatPorts } from '../publish.ts';
import { openSession } from '../session.ts';

export function addPs(program: Command): void {
  const command = program
    .command('ps')
    .summary('list enclaves')
    .description('Lists the enclaves of this host.')
    .option('-a, --all', 'those that have ended, too')
    .option('--fleet', 'those of all hosts, by way of the hub that the file in ENCLAVER_FLEET names');
  addOutputOption(command, 'table', 'json').action(ps);
}

interface PsOptions {
  all?: true;
  fleet?: true;
  output: OutputFormat;
}

const headings = ['id', 'name', 'state', 'restarts', 'cpus', 'memory', 'ports'];

async function ps(options: PsOptions): Promise<void> {
  if (options.fleet === true) {
    await psFleet(options);
    return;
  }
  await using session = await openSession();
  const { enclaves } = await session.bus.request('supervisor', 'list', { all: options.all });
  if (options.output === 'json') writeJson(enclaves);
  else process.stdout.write(formatTable(headings, enclaves.map(row)));
}

async function psFleet(options: PsOptions): Promise<void> {
  await using fleet = await openFleet();
  const answers = await fleet.list({ all: options.all });
  const hosts = await new FleetMemory(fleet.hub).complete(answers, { all: options.all });
  if (options.output === 'json') {
    writeJson(hosts.map((one) => ('away' in one ? { ...one, away: toErrorData(one.away) } : one)));
    return;
  }
  const rows = hosts.flatMap((one) => hostRows(one, Date.now()));
  process.stdout.write(formatTable(['host', ...headings], rows));
}

/** `now` in milliseconds since 1970. */
function hostRows(one: KnownHost, now: number): string[][] {
  if ('enclaves' in one) {
    if (one.enclaves.length === 0) return [[one.host, '-', '-', 'no enclave']];
    return one.enclaves.map((enclave) => [one.host, ...row(enclave)]);
  }
  if (one.last === undefined) return [[one.host, '-', '-', `away: ${one.away.message}`]];
  const ago = `${formatDuration(now - Date.parse(one.last.at))} ago`;
  const known = one.last.enclaves.map((enclave) => {
    const [id = '', name = '', state, ...others] = row(enclave);
    return [one.host, id, name, `${state} (${ago})`, ...others];
  });
  return [[one.host, '-', '-', `away: ${one.away.message}; seen ${ago}`], ...known];
}

function row(enclave: EnclaveRecord): string[] {
  const { id, name, restarts = 0, cpuCount, memoryMb, ingress } = enclave;
  return [id, name, stateOf(enclave), String(restarts), String(cpuCount), `${memoryMb} MiB`, formatPorts(ingress)];
}

function stateOf({ state, result, reason, next, takesOver }: EnclaveRecord): string {
  if (hasEnded(state) && result !== undefined) {
    return `${state}: ${describeResult(result)}${next === undefined ? '' : `; ${next.id} follows`}`;
  }
  if (takesOver !== undefined) return `${state}: takes over from ${takesOver}`;
  return reason === undefined ? state : `${state}: ${reason}`;
}
