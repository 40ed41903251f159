import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Network } from '../stack/network.ts';

/** Leads from loopback of the hub to a bus on ours: through a Unix socket, which namespaces of networks do not keep apart. */
export class BusTunnel implements AsyncDisposable {
  readonly url: string;
  readonly #close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.#close = close;
  }

  static async dig(network: Network, url: string): Promise<BusTunnel> {
    const { port } = new URL(url);
    const folder = await mkdtemp(join(tmpdir(), 'enclaver-tunnel-'));
    const path = join(folder, 'bus');
    const server = createServer((socket) => {
      const bus = connect(Number(port), '127.0.0.1');
      for (const each of [bus, socket])
        each.on('error', () => undefined).once('close', () => (each === bus ? socket : bus).destroy());
      socket.pipe(bus).pipe(socket);
    }).listen(path);
    await once(server, 'listening');
    const script = `require('node:net').createServer((socket) => {
      const bus = require('node:net').connect(process.argv[1]);
      for (const each of [bus, socket]) each.on('error', () => undefined).once('close', () => (each === bus ? socket : bus).destroy());
      socket.pipe(bus).pipe(socket);
    }).listen(${port}, '127.0.0.1', () => console.log('ready'))`;
    const end = network.start('hub', [process.execPath, '-e', script, path]);
    await once(end.stdout as NodeJS.ReadableStream, 'data');
    return new BusTunnel(`nats://127.0.0.1:${port}`, async () => {
      end.kill('SIGTERM');
      server.close();
      await rm(folder, { recursive: true });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
