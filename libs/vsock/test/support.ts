import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConnectLine, type RelayLimits } from '../src/index.ts';

export const bounds: RelayLimits = { maxConnections: 1000, connectTimeoutMs: 5000, idleTimeoutMs: 0 };

/** Whatever a test opens, closed in reverse order when it is over. */
export class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'enclaver-vsock-'));
  readonly #ends: (() => unknown)[] = [() => rmSync(this.folder, { recursive: true, force: true })];

  later(end: () => unknown): void {
    this.#ends.push(end);
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** A server on a Unix path or a TCP port (0 = any) that keeps half-open connections. */
  async serve(at: string | number, onSocket: (socket: Socket) => void): Promise<Server> {
    const open = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      socket.on('error', () => socket.destroy());
      onSocket(socket);
    });
    if (typeof at === 'number') server.listen(at, '127.0.0.1');
    else server.listen(at);
    await once(server, 'listening');
    this.later(() => {
      for (const socket of open) socket.destroy();
      server.close();
    });
    return server;
  }

  async dial(at: string | number): Promise<Socket> {
    const options = typeof at === 'number' ? { port: at, host: '127.0.0.1' } : { path: at };
    const socket = connect({ ...options, allowHalfOpen: true });
    this.later(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  }
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

/**
 * The host side of a vsock device: `CONNECT <port>\n` → the guest's listener at that port, `OK <n>\n` first.
 * As with the real ones, a half-close from the host closes the guest's side for good.
 */
export async function fakeDevice(
  bench: Bench,
  path: string,
  guest: Map<number, (socket: Socket) => void>,
): Promise<Server> {
  return await bench.serve(path, (socket) => {
    let line = '';
    const onReadable = (): void => {
      while (!line.endsWith('\n')) {
        const byte = socket.read(1) as Buffer | null;
        if (byte === null) return;
        line += byte.toString('latin1');
      }
      socket.off('readable', onReadable);
      const serve = guest.get(parseConnectLine(line) ?? -1);
      if (!serve) {
        socket.destroy();
        return;
      }
      socket.write('OK 1073741824\n');
      socket.on('end', () => socket.destroy());
      serve(socket);
    };
    socket.on('readable', onReadable);
  });
}

export async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Reads to the end with pauses at random places; gives length and hash. */
export async function readSlowly(
  stream: Duplex,
  total = Number.POSITIVE_INFINITY,
): Promise<{ length: number; hash: string }> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    hash.update(chunk as Buffer);
    length += (chunk as Buffer).length;
    if (Math.random() < 0.005) await sleep(Math.random() * 5);
    if (length >= total) break;
  }
  return { length, hash: hash.digest('hex') };
}

/** Writes `total` random-looking bytes in pieces of random sizes with pauses, then ends unless told not to; gives their hash. */
export async function writeSlowly(stream: Duplex, total: number, end = true): Promise<string> {
  const block = randomBytes(1024 * 1024);
  const hash = createHash('sha256');
  for (let left = total; left > 0; ) {
    const offset = Math.floor(Math.random() * (block.length / 2));
    const size = Math.min(left, 1 + Math.floor(Math.random() * (block.length / 2)));
    const part = block.subarray(offset, offset + size);
    hash.update(part);
    left -= size;
    if (!stream.write(part)) await once(stream, 'drain');
    if (Math.random() < 0.02) await sleep(Math.random() * 5);
  }
  if (end) stream.end();
  return hash.digest('hex');
}

export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error(`did not come about: ${what}`);
}
