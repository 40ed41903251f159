import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { limits } from './limits.ts';

/** The console of an enclave, its last bytes kept for those who attach later. */
export class ConsoleRing {
  readonly #readers = new Set<Socket>();
  #kept: Buffer = Buffer.alloc(0);

  private constructor(console: Socket) {
    console.on('data', (chunk) => {
      this.#kept = Buffer.concat([this.#kept, chunk]).subarray(-limits.consoleBytes);
      for (const reader of this.#readers) reader.write(chunk);
    });
    // It ends with the machine; an error is that, too
    console.on('error', () => console.destroy());
    console.on('close', () => {
      for (const reader of this.#readers) reader.end();
    });
  }

  static async read(path: string): Promise<ConsoleRing> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new ConsoleRing(socket);
  }

  /** For the backtrace of a boot that failed. */
  lines(): string[] {
    return this.#kept.toString('latin1').trimEnd().split(/\r?\n/).slice(-limits.consoleLines);
  }

  attach(reader: Socket): void {
    this.#readers.add(reader);
    reader.once('close', () => this.#readers.delete(reader));
    reader.write(this.#kept);
  }
}
