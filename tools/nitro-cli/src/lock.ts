import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { limits } from './limits.ts';

/** Something that one process of the emulated host can have at a time. It is free again when that process ends, however it ends. */
export interface Held {
  release(): void;
}

/** An abstract Unix socket is the lock: the kernel frees it. Undefined when another process has it. */
export async function tryHold(root: string, name: string): Promise<Held | undefined> {
  const server = createServer((socket) => socket.destroy());
  server.listen(`\0nitro-cli-emulator:${root}:${name}`);
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
  server.unref();
  return { release: () => void server.close() };
}

/** Waits for the lock. */
export async function hold(root: string, name: string): Promise<Held> {
  const until = performance.now() + limits.lockMs;
  for (;;) {
    const held = await tryHold(root, name);
    if (held !== undefined) return held;
    if (performance.now() > until) throw new Error(`the lock ${name} of ${root} is not free`);
    await sleep(limits.lockRetryMs);
  }
}
