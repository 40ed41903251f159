import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { ConsoleProcess } from './nitro-cli.ts';

/**
 * The console of an enclave in debug mode at a Unix socket, as QEMU has one: the log-relay reads both alike. It is read by
 * `nitro-cli console`, which is the same with hardware and without. While nobody reads nothing is taken from it, so nothing is kept
 * here; one reads at a time.
 */
export class ConsoleServer {
  readonly #server: Server;
  #process: ConsoleProcess | undefined;
  #reader: Socket | undefined;
  #closed = false;

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async listen(path: string): Promise<ConsoleServer> {
    const console = new ConsoleServer();
    await rm(path, { force: true });
    console.#server.listen(path);
    await once(console.#server, 'listening');
    return console;
  }

  /** Whoever reads gets what this process writes. */
  attach(process: ConsoleProcess): void {
    this.#process = process;
    process.once('error', () => void this.close());
    // Its last bytes have been read then
    process.once('close', () => void this.close());
    if (this.#reader !== undefined) process.stdout.pipe(this.#reader);
    else process.stdout.pause();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#process?.kill('SIGKILL');
    this.#reader?.end();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    if (this.#reader !== undefined || this.#closed) {
      socket.destroy();
      return;
    }
    this.#reader = socket;
    // The end of its half is no wish to stop reading; its close is
    socket.resume();
    socket.once('close', () => {
      this.#process?.stdout.unpipe(socket);
      this.#process?.stdout.pause();
      if (this.#reader === socket) this.#reader = undefined;
    });
    this.#process?.stdout.pipe(socket);
  }
}
