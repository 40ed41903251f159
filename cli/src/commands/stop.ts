import { hasEnded } from '@enclaver/bus';
import { type Command, InvalidArgumentError } from 'commander';
import { CliError } from '../cli-error.ts';
import { limits } from '../limits.ts';
import { openSession } from '../session.ts';

/** Default of the supervisor's `stop`, and of container engines. */
const DEFAULT_GRACE_S = 10;

export function addStop(program: Command): void {
  program
    .command('stop')
    .summary('stop an enclave')
    .description('Asks the app to stop, kills it after the grace time, and waits until the enclave is gone.')
    .argument('<enclave>', 'id or name')
    .option('-t, --time <seconds>', 'grace time', seconds, DEFAULT_GRACE_S)
    .action(stop);
}

function seconds(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 3600)) throw new InvalidArgumentError('Allowed is a number of seconds from 0 to 3600.');
  return value;
}

async function stop(enclave: string, options: { time: number }): Promise<void> {
  await using session = await openSession();
  const { bus } = session;
  const graceMs = Math.round(options.time * 1000);
  const events = bus.events();
  await events.ready;
  const { enclave: record } = await bus.request('supervisor', 'stop', { id: enclave, graceMs });
  const timer = setTimeout(() => void events.close(), graceMs + limits.stopSlackMs);
  try {
    if (!hasEnded(record.state)) await untilEnded(events, record.id);
  } finally {
    clearTimeout(timer);
    await events.close();
  }
  process.stdout.write(`${record.id}\n`);
}

async function untilEnded(events: AsyncIterable<{ id: string; name: string }>, id: string): Promise<void> {
  for await (const event of events) {
    if (event.id === id && (event.name === 'exited' || event.name === 'failed' || event.name === 'lost')) return;
  }
  throw new CliError('STOP_TIMEOUT', `enclave ${id} has not ended`, 'see `enclaver ps` and the log of the supervisor');
}
