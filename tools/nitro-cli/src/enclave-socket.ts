import { once } from 'node:events';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { LineSplitter } from '@enclaver/wire';
import type { ConsoleRing } from './console-ring.ts';
import { limits } from './limits.ts';
import { type Answer, type Request, requestSchema } from './messages.ts';

export interface EnclaveActions {
  describe(): unknown;
  terminate(): Promise<void>;
  /** None without debug mode. */
  console: ConsoleRing | undefined;
}

/** Where the process of an enclave is asked. Everybody may describe; its owner and root may do the rest. */
export class EnclaveSocket {
  readonly #server: Server;
  readonly #path: string;
  readonly #actions: EnclaveActions;
  readonly #open = new Set<Socket>();

  private constructor(path: string, actions: EnclaveActions) {
    this.#path = path;
    this.#actions = actions;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async listen(path: string, actions: EnclaveActions): Promise<EnclaveSocket> {
    const socket = new EnclaveSocket(path, actions);
    await mkdir(dirname(path), { recursive: true });
    socket.#server.listen(path);
    await once(socket.#server, 'listening');
    await chmod(path, 0o777);
    return socket;
  }

  async close(): Promise<void> {
    await rm(this.#path, { force: true });
    this.#server.close();
    await Promise.all([...this.#open].map((socket) => once(socket.end(), 'close')));
  }

  #accept(socket: Socket): void {
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => socket.destroy());
    const lines = new LineSplitter(limits.messageBytes);
    socket.on('data', (chunk) => {
      try {
        for (const line of lines.push(chunk))
          void this.#answer(socket, requestSchema.parse(JSON.parse(line.toString('utf8'))));
      } catch {
        // Not a command of ours
        socket.destroy();
      }
    });
  }

  async #answer(socket: Socket, { command, uid }: Request): Promise<void> {
    const reply = (answer: Answer): void => {
      socket.write(`${JSON.stringify(answer)}\n`);
    };
    const { describe, terminate, console } = this.#actions;
    if (command === 'describe') reply({ value: describe() });
    else if (uid !== 0 && uid !== process.getuid?.())
      reply({ failure: { number: 38, said: 'It belongs to another user.' } });
    else if (command === 'terminate') {
      await terminate();
      reply({ value: true });
    } else if (console === undefined) reply({ failure: { number: 44, said: 'The enclave is not in debug mode.' } });
    else {
      reply({ value: true });
      console.attach(socket);
    }
  }
}
