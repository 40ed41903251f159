import { readFileSync } from 'node:fs';
import { startTracing, stopTracing, traced } from '@enclaver/telemetry';
import { Command, CommanderError } from 'commander';
import { addAttest } from './commands/attest.ts';
import { addBuild } from './commands/build.ts';
import { addBus } from './commands/bus.ts';
import { addDescribe } from './commands/describe.ts';
import { addEif } from './commands/eif.ts';
import { addEvents } from './commands/events.ts';
import { addFleet } from './commands/fleet.ts';
import { addLogs } from './commands/logs.ts';
import { addPs } from './commands/ps.ts';
import { addRun } from './commands/run.ts';
import { addStatus } from './commands/status.ts';
import { addStop } from './commands/stop.ts';
import { addTls } from './commands/tls.ts';
import { addTrust } from './commands/trust.ts';
import { addUp } from './commands/up.ts';
import { addUpdate } from './commands/update.ts';
import { addVerify } from './commands/verify.ts';
import { addVerifyBuild } from './commands/verify-build.ts';
import { exitCodeOfError, exitCodes } from './exit-codes.ts';
import { formatFailure } from './output/failure.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('enclaver')
  .description('Packages a container as an AWS Nitro Enclave and runs it so that the app notices nothing.')
  .version(version, '-V, --version')
  // A command's options are its own: those behind `trust lint` are not for `trust`
  .enablePositionalOptions()
  .exitOverride();

for (const add of [
  addBuild,
  addVerify,
  addVerifyBuild,
  addRun,
  addUp,
  addLogs,
  addPs,
  addDescribe,
  addStatus,
  addEvents,
  addUpdate,
  addStop,
  addEif,
  addTrust,
  addAttest,
  addTls,
  addBus,
  addFleet,
])
  add(program);

const tellProblem = (text: string): void => void process.stderr.write(`traces were not sent: ${text}\n`);

try {
  await startTracing({ name: 'cli', version }, tellProblem);
  const { argv } = process;
  const command = program.commands.find((each) => each.name() === argv[2])?.name();
  // The stack is no request: each of its services tells of its own work
  if (command === undefined || command === 'up') await program.parseAsync();
  else await traced(`enclaver ${command}`, {}, () => program.parseAsync());
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed its help or what is wrong already
    process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
  } else {
    process.stderr.write(formatFailure(error));
    process.exitCode = exitCodeOfError(error);
  }
}
await stopTracing().catch((error: Error) => tellProblem(error.message));
