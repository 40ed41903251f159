import { type Bus, BusError } from '@enclaver/bus';
import { type Command, InvalidArgumentError } from 'commander';
import { CliError } from '../cli-error.ts';
import { duration } from '../durations.ts';
import { positiveInteger } from '../numbers.ts';
import { describeEvent } from '../output/events.ts';
import { runTargetOf } from '../run-target.ts';
import { openSession } from '../session.ts';

interface UpdateOptions {
  cpuCount?: number;
  memoryMb?: number;
  startTimeout?: number;
  drain?: number;
  time?: number;
}

export function addUpdate(program: Command): void {
  program
    .command('update')
    .summary('put a new image in the place of a running enclave')
    .description(
      'Starts a new enclave beside the running one, gives it the ports once it is ready, and then stops the old one.\n' +
        'When the new one does not become ready the old one goes on untouched. Both take CPUs and memory meanwhile.\n' +
        'The update goes on when this command is interrupted; `enclaver stop` of the new one ends it.',
    )
    .argument('<enclave>', 'id or name')
    .argument('<image>', 'release image, or path of an EIF')
    .option('--cpu-count <n>', "CPUs (default: the running enclave's)", positiveInteger)
    .option('--memory-mb <n>', "memory in MiB (default: the running enclave's)", positiveInteger)
    .option('--start-timeout <duration>', 'time for the new enclave to become ready (default: 5m)', duration)
    .option('--drain <duration>', 'time for open connections of the old one (default: 10s)', drain)
    .option('-t, --time <duration>', 'grace time of the old one after that (default: 10s)', drain)
    .action(update);
}

function drain(text: string): number {
  const ms = text === '0' ? 0 : duration(text);
  if (ms > 3_600_000) throw new InvalidArgumentError('Allowed is at most 1h.');
  return ms;
}

async function update(enclave: string, image: string, options: UpdateOptions): Promise<void> {
  const target = await runTargetOf(image, undefined);
  await using session = await openSession();
  const { bus } = session;
  const eif = target.eif ?? (await bus.request('builder', 'extract', { image: target.image })).eif;
  const events = bus.events();
  await events.ready;
  const accepted = await bus.request('supervisor', 'update', {
    id: enclave,
    eif,
    cpuCount: options.cpuCount,
    memoryMb: options.memoryMb,
    startTimeoutMs: options.startTimeout,
    drainMs: options.drain,
    graceMs: options.time,
  });
  await untilReplaced(events, accepted.enclave.id);
  process.stdout.write(`${accepted.enclave.id}\n`);
}

/** Shows how it goes, until the old enclave has ended. Throws why the new one does not take its place. */
async function untilReplaced(events: ReturnType<Bus['events']>, id: string): Promise<void> {
  let replaced: string | undefined;
  for await (const event of events) {
    if (event.id !== id && event.id !== replaced) continue;
    if (event.name !== 'log-ended') process.stderr.write(`${describeEvent(event)}\n`);
    // One of the old enclave gives the ports back
    if (event.name === 'handed-over') replaced = event.id === id ? event.data.from : undefined;
    if (event.name !== 'exited' && event.name !== 'failed' && event.name !== 'lost') continue;
    if (event.id === replaced) return;
    const { result } = event.data;
    if (result.kind === 'failed' || result.kind === 'lost') throw new BusError(result.error);
    throw new CliError(
      'UPDATE_FAILED',
      `the new enclave ${id} ended before it had taken over`,
      `see what it wrote: enclaver logs ${id}`,
    );
  }
}
