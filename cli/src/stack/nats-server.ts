import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../cli-error.ts';
import { limits } from '../limits.ts';
import { writeCredentials, writeServerConfig } from './bus-files.ts';
import { Child } from './child.ts';

export interface NatsServerOptions {
  /** Folder for configuration, ports and credentials files; only its owner may read it. */
  dir: string;
  storeDir: string;
  /** 0 for a free one. */
  port: number;
  /** File that links the host to its fleet. */
  fleet?: string | undefined;
  log: number;
  onRestart: (name: string, cause: string) => void;
}

/** Starts nats-server on loopback with fresh passwords and writes `<dir>/<user>.json` for each user. */
export async function startNatsServer(options: NatsServerOptions): Promise<Child> {
  const { dir } = options;
  await rm(dir, { recursive: true, force: true });
  const { config, users } = await writeServerConfig({ ...options, portsDir: dir });
  const failure: { cause?: string } = {};
  const child = new Child(
    {
      name: 'nats-server',
      command: 'nats-server',
      args: ['-c', config],
      env: process.env,
      log: options.log,
      niceness: limits.logNiceness,
    },
    (name, cause) => {
      failure.cause = cause;
      options.onRestart(name, cause);
    },
  );
  child.start();
  try {
    const url = await portOf(dir, failure);
    await writeCredentials(dir, url, users);
    // Started again, it must be where its clients look for it
    await writeServerConfig({ ...options, port: Number(new URL(url).port), portsDir: dir });
  } catch (error) {
    await child.stop(limits.busStopMs);
    throw error;
  }
  return child;
}

async function portOf(dir: string, failure: { cause?: string }): Promise<string> {
  const until = performance.now() + limits.busStartMs;
  while (performance.now() < until) {
    if (failure.cause !== undefined) {
      const missing = failure.cause.includes('127');
      throw new CliError(
        missing ? 'NATS_MISSING' : 'BUS_START_FAILED',
        `nats-server ${failure.cause}`,
        missing ? 'install it: `scripts/setup` does' : 'is its port taken? `enclaver up --bus-port 0` takes a free one',
      );
    }
    const file = (await readdir(dir)).find((name) => name.endsWith('.ports'));
    const text = file === undefined ? '' : await readFile(join(dir, file), 'utf8');
    if (text !== '') {
      const url = (JSON.parse(text) as { nats?: string[] }).nats?.[0];
      if (url !== undefined) return url;
    }
    await sleep(20);
  }
  throw new CliError('BUS_START_FAILED', `nats-server did not open its port within ${limits.busStartMs} ms`);
}
