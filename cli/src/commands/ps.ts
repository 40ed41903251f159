import { type EnclaveRecord, hasEnded } from '@enclaver/bus';
import type { Command } from 'commander';
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
    .option('-a, --all', 'those that have ended, too');
  addOutputOption(command, 'table', 'json').action(ps);
}

async function ps(options: { all?: true; output: OutputFormat }): Promise<void> {
  await using session = await openSession();
  const { enclaves } = await session.bus.request('supervisor', 'list', { all: options.all });
  if (options.output === 'json') writeJson(enclaves);
  else
    process.stdout.write(
      formatTable(['id', 'name', 'state', 'restarts', 'cpus', 'memory', 'ports'], enclaves.map(row)),
    );
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
