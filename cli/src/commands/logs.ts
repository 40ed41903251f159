import type { Command } from 'commander';
import { addOutputOption, type OutputFormat, writeJsonLine } from '../output/format.ts';
import { LogPrinter } from '../output/logs.ts';
import { openSession } from '../session.ts';

interface LogsOptions {
  follow?: true;
  debug?: true;
  output: OutputFormat;
}

export function addLogs(program: Command): void {
  const command = program
    .command('logs')
    .summary("show what an enclave's app wrote")
    .description("Shows the lines that are kept of an enclave's log: the app's stdout on stdout, its stderr on stderr.")
    .argument('<enclave>', 'id or name')
    .option('-f, --follow', 'go on with the lines to come, until the enclave has ended')
    .option('-d, --debug', "show the console and odyn's own lines, too");
  addOutputOption(command, 'text', 'json').action(logs);
}

async function logs(enclave: string, options: LogsOptions): Promise<void> {
  await using session = await openSession();
  const { bus } = session;
  const { enclave: record } = await bus.request('supervisor', 'describe', { id: enclave });
  const follow = options.follow === true;
  if (options.output === 'json') {
    const watch = bus.logs({ id: record.id, follow });
    if (follow) void closeAtEnd(bus, record.id, () => watch.close());
    for await (const message of watch) writeJsonLine(message);
    return;
  }
  const printer = new LogPrinter(bus, record.id, { debug: options.debug === true }, follow);
  if (follow) void closeAtEnd(bus, record.id, (lines) => printer.until(lines).then(() => printer.close()));
  await printer.follow();
}

async function closeAtEnd(
  bus: Awaited<ReturnType<typeof openSession>>['bus'],
  id: string,
  close: (lines: number) => Promise<void>,
): Promise<void> {
  for await (const event of bus.events({ id, replay: true })) {
    if (event.name === 'log-ended') return await close(event.data.lines);
  }
}
