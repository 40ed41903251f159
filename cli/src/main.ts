import { startTracing, stopTracing, traced } from '@enclaver/telemetry';
import { CommanderError } from 'commander';
import { exitCodeOfError, exitCodes } from './exit-codes.ts';
import { formatFailure } from './output/failure.ts';
import { endWithoutReader } from './output/stdout.ts';
import { enclaverProgram, version } from './program.ts';

const program = enclaverProgram();
const tellProblem = (text: string): void => void process.stderr.write(`traces were not sent: ${text}\n`);

const word = process.argv.slice(2).find((argument) => !argument.startsWith('-'));

// A stack outlives those who read it: it has enclaves to stop
if (word !== 'up') endWithoutReader();

try {
  await startTracing({ name: 'cli', version }, tellProblem);
  const command = program.commands.find((each) => each.name() === word)?.name();
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
