import { Failure } from './errors.ts';
import { type Parent, parentOf } from './parent.ts';
import { report } from './report.ts';

type Command = (args: readonly string[], parent: Parent) => Promise<void> | void;

/** As in nitro-cli, but for what builds and signs images. */
const commands: Record<string, { action: string; load: () => Promise<Command> }> = {
  'run-enclave': { action: 'Run Enclave', load: async () => (await import('./commands/run-enclave.ts')).runEnclave },
  'terminate-enclave': {
    action: 'Terminate Enclave',
    load: async () => (await import('./commands/terminate-enclave.ts')).terminateEnclave,
  },
  'describe-enclaves': {
    action: 'Describe Enclaves',
    load: async () => (await import('./commands/describe-enclaves.ts')).describeEnclaves,
  },
  console: { action: 'Enclave Console', load: async () => (await import('./commands/console.ts')).consoleCommand },
  'describe-eif': {
    action: 'Describe EIF',
    load: async () => (await import('./commands/describe-eif.ts')).describeEif,
  },
  pcr: { action: 'PCR', load: async () => (await import('./commands/pcr.ts')).pcr },
  explain: { action: 'Explain', load: async () => (await import('./commands/explain.ts')).explain },
};

const [name = '', ...args] = process.argv.slice(2);
const command = commands[name];
if (command === undefined) {
  const about = `an emulator of nitro-cli; it knows ${Object.keys(commands).join(', ')}`;
  process.stderr.write(name === '--version' ? '' : `nitro-cli: ${about}\n`);
  if (name === '--version') process.stdout.write(`Nitro CLI emulator of Enclaver\n`);
  else process.exitCode = 2;
} else {
  const parent = parentOf(process.env);
  try {
    await (await command.load())(args, parent);
  } catch (error) {
    const failure = error instanceof Failure ? error : new Failure(0, (error as Error).stack ?? String(error));
    report(failure, command.action, parent);
    process.exitCode = failure.number;
    // The enclave process that failed is gone when its answer is asked for: nitro-cli says that, too
    if (name === 'run-enclave' && failure.number >= 19 && failure.number !== 39) {
      process.stderr.write('Failed connections: 1\n');
      report(new Failure(39, '', ['Failed to connect to enclave process']), command.action, parent);
      process.exitCode = 39;
    }
  }
}
