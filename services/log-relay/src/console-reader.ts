import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { limits } from './limits.ts';
import { isCutShort } from './record-reader.ts';

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** A console line; `continues` when it was longer than is kept in one piece. */
export interface ConsoleLine {
  bytes: Buffer;
  continues: boolean;
}

/** Connects to the Unix socket of a serial console; tries until it is there. Undefined when `signal` came first. */
export async function connectConsole(path: string, signal: AbortSignal): Promise<Socket | undefined> {
  while (!signal.aborted) {
    const socket = connect({ path });
    try {
      await once(socket, 'connect', { signal });
      return socket;
    } catch {
      // Not there yet: the machine makes its socket when it starts
      socket.destroy();
      await sleep(limits.retryMs);
    }
  }
  return undefined;
}

/** Reads a console to its end, in bounded memory: a line that never ends comes in pieces. */
export async function readConsole(socket: Socket, onLine: (line: ConsoleLine) => Promise<void>): Promise<void> {
  let pending: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      pending = pending.length === 0 ? (chunk as Buffer) : Buffer.concat([pending, chunk as Buffer]);
      for (let line = cut(pending); line !== undefined; line = cut(pending)) {
        pending = pending.subarray(line.taken);
        await onLine(line);
      }
    }
  } catch (error) {
    // QEMU that dies resets its sockets: what was read until then is the console
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET' && !isCutShort(error)) throw error;
  } finally {
    socket.destroy();
  }
  if (pending.length > 0) await onLine({ bytes: pending, continues: false });
}

function cut(pending: Buffer): (ConsoleLine & { taken: number }) | undefined {
  const end = pending.subarray(0, limits.consoleLineBytes + 2).indexOf(NEWLINE);
  if (end >= 0) {
    const length = end > 0 && pending[end - 1] === RETURN ? end - 1 : end;
    if (length <= limits.consoleLineBytes) {
      return { bytes: pending.subarray(0, length), continues: false, taken: end + 1 };
    }
  }
  // One more than the piece must be there, so that a line of just this length is not said to go on
  if (pending.length < limits.consoleLineBytes + 2) return undefined;
  return {
    bytes: pending.subarray(0, limits.consoleLineBytes),
    continues: true,
    taken: limits.consoleLineBytes,
  };
}
