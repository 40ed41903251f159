import { join, resolve } from 'node:path';

/** Where the stack that `enclaver up` runs keeps its sockets and credentials: gone with the machine's next start. */
export function defaultStackDir(): string {
  if (process.getuid?.() === 0) return '/run/enclaver';
  const { XDG_RUNTIME_DIR } = process.env;
  // In /tmp itself: there nobody takes away what is another's, as they could in a folder of their own
  return XDG_RUNTIME_DIR === undefined ? `/tmp/enclaver-${process.getuid?.()}` : join(XDG_RUNTIME_DIR, 'enclaver');
}

/** Where it keeps images and the bus's state: outlives it. */
export function defaultDataDir(): string {
  // What is empty is not set, as Compose has it; paths travel over the bus
  if (process.env.ENCLAVER_DATA_DIR) return resolve(process.env.ENCLAVER_DATA_DIR);
  if (process.getuid?.() === 0) return '/var/lib/enclaver';
  return join(process.env.XDG_DATA_HOME ?? join(process.env.HOME ?? '/', '.local/share'), 'enclaver');
}

/** Credentials with which a command reaches the bus of the stack in `stackDir`. */
export function busFile(stackDir: string): string {
  return join(stackDir, 'bus', 'cli.json');
}

/** Where the development root of simulated NSMs is: one for all stacks of a user, private ones too, so that it can be trusted once. */
export function nsmDir(): string {
  return process.env.ENCLAVER_NSM_DIR ?? join(defaultDataDir(), 'nsm');
}
