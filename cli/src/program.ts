import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
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

export const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** The command with all of its commands; the caller parses. What is wrong with its arguments is thrown as a `CommanderError`. */
export function enclaverProgram(): Command {
  const program = new Command('enclaver')
    .description('Packages a container as an AWS Nitro Enclave and runs it so that the app notices nothing.')
    .version(version, '-V, --version')
    // Of the original; here ENCLAVER_LOG_LEVEL says how much services tell
    .addOption(new Option('-v, --verbose').hideHelp())
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
  return program;
}
