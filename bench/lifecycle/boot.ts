import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Bus } from '@enclaver/bus';

/** Of one enclave, in ms. */
export interface Life {
  /** From the start of the machine's process to `ready` on the bus. */
  wallMs: number;
  kernelMs: number;
  initMs: number;
  odynMs: number;
  /** From the death of the machine's process. */
  eventMs: number;
  exitMs: number;
}

const command = new URL('../../cli/bin/enclaver', import.meta.url).pathname;

/** Runs it with the command, kills its machine once it is ready. */
export async function bootAndKill(
  bus: Bus,
  eif: string,
  env: NodeJS.ProcessEnv,
  whenReady?: (id: string) => Promise<void>,
): Promise<Life> {
  const events = bus.events();
  await events.ready;
  const run = spawn(command, ['run', eif], { stdio: 'ignore', env: { ...process.env, ...env } });
  const exited = once(run, 'exit').then(() => performance.now());
  let launchedAt = 0;
  let killedAt = 0;
  let boot: Pick<Life, 'wallMs' | 'kernelMs' | 'initMs' | 'odynMs'> | undefined;
  for await (const event of events) {
    if (event.name === 'launching') launchedAt = Date.parse(event.time);
    if (event.name === 'failed') throw new Error(JSON.stringify(event.data));
    if (event.name === 'ready') {
      const enclave = await bus.enclaves.get(event.id);
      const { timings } = event.data;
      if (enclave?.pid === undefined || timings?.readyMs === undefined) throw new Error('no pid or no timings');
      boot = {
        wallMs: Date.parse(event.time) - launchedAt,
        kernelMs: timings.initMs,
        initMs: timings.odynMs - timings.initMs,
        odynMs: timings.readyMs - timings.odynMs,
      };
      await whenReady?.(event.id);
      killedAt = performance.now();
      process.kill(enclave.pid, 'SIGKILL');
    }
    if (event.name === 'lost') {
      const eventMs = performance.now() - killedAt;
      const exitMs = (await exited) - killedAt;
      if (boot === undefined) throw new Error('lost before ready');
      return { ...boot, eventMs, exitMs };
    }
  }
  throw new Error('the bus went away');
}
