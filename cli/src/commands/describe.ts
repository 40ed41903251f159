import { type EnclaveEvent, type EnclaveRecord, hasEnded } from '@enclaver/bus';
import { showText } from '@enclaver/eif';
import type { Command } from 'commander';
import { explainEnd } from '../output/ending.ts';
import { describeEvent } from '../output/events.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { formatPorts } from '../publish.ts';
import { openSession } from '../session.ts';

export function addDescribe(program: Command): void {
  const command = program
    .command('describe')
    .summary('show all that is known of an enclave')
    .description('Shows the record of an enclave, how it ended where it has, and the history of its events.')
    .argument('<enclave>', 'id or name');
  addOutputOption(command, 'text', 'json').action(describe);
}

async function describe(enclave: string, options: { output: OutputFormat }): Promise<void> {
  await using session = await openSession();
  const { enclave: record } = await session.bus.request('supervisor', 'describe', { id: enclave });
  const history: EnclaveEvent[] = [];
  for await (const event of session.bus.events({ id: record.id, replay: true, follow: false })) history.push(event);
  if (options.output === 'json') return writeJson({ enclave: record, history });
  const rows = fields(record).filter((row): row is [string, string] => row[1] !== undefined);
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(width)}  ${showText(value)}\n`);
  process.stdout.write('\nhistory\n');
  for (const event of history) process.stdout.write(`  ${describeEvent(event)}\n`);
}

function fields(record: EnclaveRecord): [string, string | undefined][] {
  const { state, result, restart, restarts = 0, previous, next, replaces, takesOver, measurements, vsock } = record;
  const end = result === undefined ? undefined : explainEnd(result);
  const policy =
    restart?.policy === 'on-failure' && restart.max !== undefined ? `on-failure:${restart.max}` : restart?.policy;
  return [
    ['id', record.id],
    ['name', record.name],
    ['state', state],
    ['reason', record.reason],
    ['end', end?.text],
    ['help', end?.remedy],
    ['follows', next === undefined ? undefined : `${next.id}, by restart ${next.restarts}`],
    ['restart', policy ?? 'no'],
    ['restarts', previous === undefined ? String(restarts) : `${restarts}; before it was ${previous}`],
    ['replaces', takesOver === undefined ? replaces : `${takesOver}, which has the ports still`],
    ['image', record.eif],
    ...Object.entries(measurements),
    ['debug mode', record.debug ? 'yes: it attests zeros' : undefined],
    ['backend', record.backend],
    ['vsock', vsock.type === 'vsock' ? `CID ${vsock.cid}` : vsock.path],
    ['process', hasEnded(state) ? undefined : record.pid?.toString()],
    ['CPUs', String(record.cpuCount)],
    ['memory', `${record.memoryMb} MiB`],
    ['ports', formatPorts(record.ingress) || 'none'],
    ['egress', record.egress ? 'yes' : 'no'],
    ['clock', record.clock],
  ];
}
