import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';

/** Both ends of the app's two output pipes. */
export interface OutputFifos {
  readonly readers: { readonly stdout: number; readonly stderr: number };
  readonly writers: { readonly stdout: number; readonly stderr: number };
}

/**
 * Opens the pipes that init made. Named pipes, because many images open /dev/stdout by name, which fails for the socket
 * pairs that Node makes.
 */
export function openOutputFifos(directory: string): OutputFifos {
  const open = (name: string): [reader: number, writer: number] => {
    const path = join(directory, name);
    // The reader first and without blocking: each end would otherwise wait for the other
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return [reader, openSync(path, constants.O_WRONLY)];
  };
  const [stdoutReader, stdoutWriter] = open('app.stdout');
  const [stderrReader, stderrWriter] = open('app.stderr');
  return {
    readers: { stdout: stdoutReader, stderr: stderrReader },
    writers: { stdout: stdoutWriter, stderr: stderrWriter },
  };
}

/** The app has its own copies; the pipes end when those are closed. */
export function closeWriters({ writers }: OutputFifos): void {
  closeSync(writers.stdout);
  closeSync(writers.stderr);
}
