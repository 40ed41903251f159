import { hasEnded } from '@enclaver/bus';
import type { Command } from 'commander';
import { exitCodes } from '../exit-codes.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { formatStatus, type Status } from '../output/status.ts';
import { openSession } from '../session.ts';

/** Services without which no enclave starts or serves; a parent that builds nothing needs no builder. */
const NEEDED = ['supervisor', 'outer-proxy', 'log-relay'];

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .summary('show whether all is well')
    .description(
      'Shows bus, services, enclaves and warnings with what to do.\n' +
        `Exit code: 0 all is well, warnings of severity info and warning apart; ${exitCodes.failure} no bus, a service is missing, or a warning of severity error.`,
    );
  addOutputOption(command, 'text', 'json').action(status);
}

async function status(options: { output: OutputFormat }): Promise<void> {
  await using session = await openSession();
  const { bus } = session;
  const [services, records, warnings] = await Promise.all([
    bus.serviceStates(),
    bus.enclaves.list(),
    bus.warnings.list(),
  ]);
  const missing = NEEDED.filter((name) => !services.some(({ service }) => service === name));
  const running = records.filter(({ state }) => !hasEnded(state));
  const found: Status = {
    ok: missing.length === 0 && !warnings.some(({ severity }) => severity === 'error'),
    services,
    missing,
    enclaves: running.map(({ id, name, state }) => ({ id, name, state })),
    warnings,
  };
  if (options.output === 'json') writeJson(found);
  else process.stdout.write(formatStatus(found, Date.now()));
  if (!found.ok) process.exitCode = exitCodes.failure;
}
