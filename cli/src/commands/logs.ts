import { type Bus, busLimits, type EnclaveRecord, type LogStreamName, logStreams } from '@enclaver/bus';
import { type Command, InvalidArgumentError } from 'commander';
import { enclavesOfName, untilFollowed, untilHandedOver } from '../log-trail.ts';
import { addOutputOption } from '../output/format.ts';
import { appStreams, type LogFormat, LogPrinter } from '../output/logs.ts';
import { openSession } from '../session.ts';

interface LogsOptions {
  follow?: true;
  since?: Date;
  tail?: number;
  stream?: LogStreamName[];
  debug?: true;
  output: LogFormat;
}

export function addLogs(program: Command): void {
  const command = program
    .command('logs')
    .summary("show what an enclave's app wrote")
    .description(
      "Shows the lines that are kept of an enclave's log: the app's stdout on stdout, its stderr on stderr. A name stands for " +
        'all enclaves that had it, one after the other, and -f goes on with the next; an id for that enclave alone.',
    )
    .argument('<enclave>', 'id or name')
    .option('-f, --follow', 'go on with the lines to come, until the enclave has ended and no other follows it')
    .option(
      '--since <time>',
      'only what came then or later: 90s, 10m, 1h30m, 2d, or a time such as 2026-11-29T08:00:00Z',
      parseSince,
    )
    .option('--tail <lines>', 'only so many of the last lines, and with -f those to come', parseTail)
    .option('--stream <names>', 'only these, with commas: stdout, stderr, odyn, console', parseStreams)
    .option('-d, --debug', "the console and odyn's own lines, too");
  addOutputOption(command, 'text', 'json').action(logs);
}

async function logs(enclave: string, options: LogsOptions): Promise<void> {
  // Its wished end, as with `enclaver events`
  if (options.follow === true) for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(0));
  await using session = await openSession();
  const { bus } = session;
  const { enclave: record } = await bus.request('supervisor', 'describe', { id: enclave });
  const isByName = record.id !== enclave;
  const records = isByName ? await enclavesOfName(bus, record.name) : [record];
  const tails = await tailsOf(bus, records, options);
  for (const [index, each] of records.entries()) {
    const isLast = index === records.length - 1;
    const tail = tails?.[index];
    if (tail === 0 && !isLast) continue;
    const printer = printerOf(bus, each, { ...options, ...(tail === undefined ? {} : { tail }) }, isLast);
    if (!isLast || options.follow !== true) await printer.follow();
    else await follow(bus, each, printer, options, isByName);
  }
}

/**
 * Prints one log to its end, and with `successors` those of the enclaves that follow it: after a restart behind it, in an update beside
 * it from the moment on at which the new one takes over.
 */
async function follow(
  bus: Bus,
  first: EnclaveRecord,
  firstPrinter: LogPrinter,
  options: LogsOptions,
  successors: boolean,
): Promise<void> {
  const printing: Promise<unknown>[] = [];
  let record: EnclaveRecord | undefined = first;
  let printer = firstPrinter;
  while (record !== undefined) {
    const update = untilHandedOver(bus, record.id);
    const whole = printToEnd(bus, record, printer);
    // Awaited at the end, whatever comes of it
    whole.catch(() => undefined);
    printing.push(whole);
    const next: string | undefined = await Promise.race([whole, update.next]);
    await update.close();
    const { id } = record;
    record = !successors || next === undefined ? undefined : await bus.enclaves.get(next);
    if (record === undefined) break;
    if (options.output === 'text') process.stderr.write(`[${record.id} follows ${id}]\n`);
    printer = printerOf(bus, record, { ...options, since: undefined, tail: undefined }, true);
  }
  await Promise.all(printing);
}

/** Resolves with the id of the enclave that follows. */
async function printToEnd(bus: Bus, record: EnclaveRecord, printer: LogPrinter): Promise<string | undefined> {
  const printed = printer.follow();
  const next = await untilFollowed(bus, record, printer);
  await printer.close();
  await printed;
  return next;
}

function printerOf(
  bus: Bus,
  { id }: EnclaveRecord,
  {
    since,
    tail,
    output,
    follow,
    ...options
  }: Omit<LogsOptions, 'since' | 'tail'> & { since?: Date | undefined; tail?: number | undefined },
  isLast: boolean,
): LogPrinter {
  const streams = options.stream ?? (options.debug === true ? undefined : appStreams);
  return new LogPrinter(
    bus,
    {
      id,
      follow: isLast && follow === true,
      ...(streams === undefined ? {} : { streams }),
      ...(since === undefined ? {} : { since }),
      ...(tail === undefined ? {} : { tail }),
    },
    output,
  );
}

/** How many of the last lines are of each enclave; undefined where all are wanted. */
async function tailsOf(
  bus: Bus,
  records: readonly EnclaveRecord[],
  options: LogsOptions,
): Promise<number[] | undefined> {
  if (options.tail === undefined) return undefined;
  const tails: number[] = [];
  let left = options.tail;
  for (const record of records.toReversed()) {
    const kept = left === 0 ? 0 : await printerOf(bus, record, { ...options, tail: left }, false).tailed();
    tails.unshift(kept);
    left -= kept;
  }
  return tails;
}

function parseSince(text: string): Date {
  const units = { d: 86_400, h: 3_600, m: 60, s: 1 } as const;
  if (/^(\d{1,6}[dhms])+$/.test(text)) {
    const parts = [...text.matchAll(/(\d+)([dhms])/g)];
    const seconds = parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units], 0);
    return new Date(Date.now() - seconds * 1_000);
  }
  const time = new Date(
    /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text) ? text : Number.NaN,
  );
  if (Number.isNaN(time.getTime())) {
    throw new InvalidArgumentError(
      'Allowed are 90s, 10m, 1h30m, 2d, a date, and a time with its zone: 2026-11-29T08:00:00Z.',
    );
  }
  return time;
}

function parseTail(text: string): number {
  const lines = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(lines <= busLimits.logTail)) throw new InvalidArgumentError(`Allowed are 0 to ${busLimits.logTail}.`);
  return lines;
}

function parseStreams(text: string): LogStreamName[] {
  const names = text.split(',');
  const allowed = logStreams.filter((name) => name !== 'lost');
  const wrong = names.find((name) => !(allowed as readonly string[]).includes(name));
  if (wrong !== undefined)
    throw new InvalidArgumentError(`There is no stream ${JSON.stringify(wrong)}; allowed are ${allowed.join(', ')}.`);
  return names as LogStreamName[];
}
