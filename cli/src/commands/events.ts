import type { Command } from 'commander';
import { describeEvent } from '../output/events.ts';
import { addOutputOption, type OutputFormat, writeJsonLine } from '../output/format.ts';
import { openSession } from '../session.ts';

interface EventsOptions {
  replay?: true;
  output: OutputFormat;
}

export function addEvents(program: Command): void {
  const command = program
    .command('events')
    .summary('follow the lifecycle of enclaves')
    .description('Shows lifecycle events as they come, until Ctrl-C.')
    .argument('[enclave]', 'id or name; default: all')
    .option('--replay', 'begin with the oldest event kept');
  addOutputOption(command, 'text', 'json').action(events);
}

async function events(enclave: string | undefined, options: EventsOptions): Promise<void> {
  await using session = await openSession();
  const { bus } = session;
  const id =
    enclave === undefined ? undefined : (await bus.request('supervisor', 'describe', { id: enclave })).enclave.id;
  const watch = bus.events({ id, replay: options.replay });
  process.once('SIGINT', () => void watch.close()).once('SIGTERM', () => void watch.close());
  for await (const event of watch) {
    if (options.output === 'json') writeJsonLine(event);
    else process.stdout.write(`${describeEvent(event)}\n`);
  }
}
