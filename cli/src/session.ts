import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, BusError } from '@enclaver/bus';
import { CliError } from './cli-error.ts';
import { exitCodes } from './exit-codes.ts';
import { formatFailure } from './output/failure.ts';
import { busFile, defaultStackDir } from './stack/locations.ts';
import { checkStackFolder } from './stack/stack-folder.ts';

const SOURCE = 'enclaver/cli';

/** A command's link to the bus, and the private stack behind it where one had to be started. */
export interface Session extends AsyncDisposable {
  readonly bus: Bus;
  /** The stack and all that it keeps end with this command. */
  readonly isPrivate: boolean;
}

/** Credentials of the running stack: `ENCLAVER_BUS`, else those of `enclaver up` on this machine. */
async function runningBus(): Promise<Bus | undefined> {
  const given = process.env.ENCLAVER_BUS;
  if (given !== undefined) return await Bus.connect({ source: SOURCE, credentials: given });
  const dir = defaultStackDir();
  await checkStackFolder(dir);
  return await connectTo(busFile(dir));
}

/** The bus that a credentials file leads to; undefined where there is no file, or one that a killed stack left. */
export async function connectTo(file: string): Promise<Bus | undefined> {
  try {
    await access(file);
    return await Bus.connect({ source: SOURCE, credentials: file });
  } catch (error) {
    if (error instanceof BusError && error.code !== 'BUS_UNREACHABLE') throw error;
    return undefined;
  }
}

/** Whether there is a stack that commands of this user reach. */
export async function stackRuns(): Promise<boolean> {
  const bus = await runningBus();
  await bus?.close();
  return bus !== undefined;
}

/** Connects to the running stack. Errors: `BUS_UNREACHABLE`. */
export async function openSession(): Promise<Session> {
  const bus = await runningBus();
  if (bus === undefined) {
    throw new CliError(
      'BUS_UNREACHABLE',
      `no Enclaver stack runs here: there is no bus at ${busFile(defaultStackDir())}`,
      'start one with `enclaver up` or `docker compose up`, or name its credentials file in ENCLAVER_BUS',
    );
  }
  return { bus, isPrivate: false, [Symbol.asyncDispose]: () => bus.close() };
}

/** Connects to the running stack, or starts a private one that ends with this process. */
export async function openOrStartSession(): Promise<Session> {
  const bus = await runningBus();
  if (bus !== undefined) return { bus, isPrivate: false, [Symbol.asyncDispose]: () => bus.close() };
  return await startPrivateStack();
}

/**
 * A private stack is an `enclaver up` of its own, in its own session so that Ctrl-C does not reach it before us, and
 * bound to us by its stdin: the pipe closes however we end, SIGKILL included, and the stack takes itself down.
 */
async function startPrivateStack(): Promise<Session> {
  const dir = await mkdtemp(join(await roomyFolder(), 'enclaver-'));
  const main = new URL('./main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, 'up', '--private', dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  try {
    await readyLine(child);
    const bus = await Bus.connect({ source: SOURCE, credentials: busFile(dir) });
    child.once('exit', failWithoutStack);
    return {
      bus,
      isPrivate: true,
      [Symbol.asyncDispose]: async () => {
        child.off('exit', failWithoutStack);
        await bus.close();
        await endStack(child);
      },
    };
  } catch (error) {
    const log = await readFile(join(dir, 'stack.log'), 'utf8').catch(() => '');
    process.stderr.write(log);
    await endStack(child);
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Images are unpacked there, and `/tmp` is memory on Debian 13 and Amazon Linux 2023. With a read-only root there may be nothing else. */
async function roomyFolder(): Promise<string> {
  if (process.env.TMPDIR !== undefined) return tmpdir();
  const isWritable = await access('/var/tmp', constants.W_OK).then(
    () => true,
    () => false,
  );
  return isWritable ? '/var/tmp' : tmpdir();
}

/** The bus client would wait for its server for ever; nobody starts a private one again. */
function failWithoutStack(): void {
  const remedy = 'run `enclaver up` in another terminal to see why, and this command again';
  process.stderr.write(formatFailure(new CliError('STACK_LOST', 'the private stack of this command ended', remedy)));
  process.exit(exitCodes.failure);
}

async function readyLine(child: ChildProcess): Promise<void> {
  const ready = new Promise<boolean>((resolve) => {
    child.stdout?.once('data', () => resolve(true));
    child.once('exit', () => resolve(false));
  });
  if (!(await ready)) throw new CliError('STACK_START_FAILED', 'the private stack ended before it was ready');
}

async function endStack(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.stdin?.end();
  await exited;
}
