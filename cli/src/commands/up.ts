import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import { portFrom } from '../numbers.ts';
import { connectTo } from '../session.ts';
import { busFile, defaultDataDir, defaultStackDir } from '../stack/locations.ts';
import { makePrivateFolder } from '../stack/private-folder.ts';
import { Stack } from '../stack/stack.ts';
import { checkStackFolder } from '../stack/stack-folder.ts';

interface UpOptions {
  busPort: number;
  fleet?: string;
  private?: string;
}

export function addUp(program: Command): void {
  program
    .command('up')
    .summary('run the whole stack on this machine')
    .description(
      'Runs nats-server and the four services (builder, supervisor, outer-proxy, log-relay), each as its own process,\n' +
        'and starts again what ends. Ctrl-C stops the enclaves and all of it.',
    )
    .option('--bus-port <port>', 'TCP port of the bus on 127.0.0.1; 0 takes a free one', portFrom(0), 4222)
    .option('--fleet <file>', 'be part of a fleet: the file that `enclaver fleet init` wrote for this host')
    .option('--private <dir>', 'for `enclaver run`: all state in <dir>, removed when stdin closes')
    .action(up);
}

async function up(options: UpOptions): Promise<void> {
  const isPrivate = options.private !== undefined;
  const dir = options.private ?? defaultStackDir();
  if (!isPrivate) {
    await makePrivateFolder(dir);
    await checkStackFolder(dir);
    await refuseSecondStack(dir);
  }
  const stopped = untilStopped(isPrivate);
  if (isPrivate) outliveOwner();
  try {
    const stack = await Stack.start({
      dir,
      dataDir: isPrivate ? join(dir, 'data') : defaultDataDir(),
      busPort: isPrivate ? 0 : options.busPort,
      fleet: options.fleet,
      stopEnclaves: true,
      ...(isPrivate ? { logFile: join(dir, 'stack.log') } : {}),
      onRestart: (name, cause) => process.stderr.write(`${name} ${cause}; starting it again\n`),
    });
    process.stdout.write(`${busFile(dir)}\n`);
    if (!isPrivate) process.stderr.write(`stack is up; its bus credentials are in ${busFile(dir)}\n`);
    await stopped;
    await stack.stop();
  } finally {
    if (isPrivate) {
      await rm(dir, { recursive: true, force: true });
      // A stack that could not start: its owner waits for our end, and holds this open meanwhile
      process.stdin.destroy();
    }
  }
}

/** A second stack in the same folder would take the first one's credentials away. Errors: `STACK_RUNNING`. */
async function refuseSecondStack(dir: string): Promise<void> {
  const bus = await connectTo(busFile(dir));
  if (bus === undefined) return;
  await bus.close();
  throw new CliError(
    'STACK_RUNNING',
    `a stack runs here already: its bus credentials are in ${busFile(dir)}`,
    'use it, or stop it first',
  );
}

/** When the owner was killed its end of our output is gone, too: what we still say must not end us before we have cleaned up. */
function outliveOwner(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** Resolves on SIGINT or SIGTERM and, for a private stack, when its owner is gone. */
function untilStopped(watchStdin: boolean): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
    if (watchStdin) process.stdin.once('close', () => resolve()).resume();
  });
}
