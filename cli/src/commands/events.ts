import type { FleetNews } from '@enclaver/bus/fleet';
import { showText } from '@enclaver/eif';
import type { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import { openFleet } from '../fleet-session.ts';
import { describeEvent } from '../output/events.ts';
import { addOutputOption, type OutputFormat, writeJsonLine } from '../output/format.ts';
import { openSession } from '../session.ts';

interface EventsOptions {
  fleet?: true;
  replay?: true;
  output: OutputFormat;
}

export function addEvents(program: Command): void {
  const command = program
    .command('events')
    .summary('follow the lifecycle of enclaves')
    .description('Shows lifecycle events as they come, until Ctrl-C.')
    .argument('[enclave]', 'id or name; default: all')
    .option('--replay', 'begin with the oldest event kept')
    .option('--fleet', 'those of all hosts, by way of the hub that the file in ENCLAVER_FLEET names');
  addOutputOption(command, 'text', 'json').action(events);
}

async function events(enclave: string | undefined, options: EventsOptions): Promise<void> {
  if (options.fleet === true) {
    if (enclave !== undefined) throw new CliError('USAGE', 'the events of a fleet are those of all its enclaves');
    await fleetEvents(options);
    return;
  }
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

async function fleetEvents({ replay, output }: EventsOptions): Promise<void> {
  await using fleet = await openFleet();
  const ended = new AbortController();
  process.once('SIGINT', () => ended.abort()).once('SIGTERM', () => ended.abort());
  for await (const news of fleet.events({ replay, signal: ended.signal })) {
    if (!('event' in news)) process.stderr.write(`${news.host}: ${showText(describeHost(news))}\n`);
    else if (output === 'json') writeJsonLine({ host: news.host, ...news.event });
    else process.stdout.write(`${news.host} ${describeEvent(news.event)}\n`);
  }
}

function describeHost(news: Exclude<FleetNews, { event: unknown }>): string {
  if ('away' in news) return `away: ${news.away.message}`;
  if ('missed' in news) return `${news.missed} events were dropped there before they could be read`;
  return 'back';
}
