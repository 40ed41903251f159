import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export type GuestHandler = (socket: Socket) => void;

/**
 * The guest's side of a Unix-socket vsock device, for tests without a machine: answers `CONNECT <port>` at `path` as
 * vhost-device-vsock does (`OK`, or a close for a port that nobody listens at), then hands the socket to the port's handler.
 */
export class FakeGuest implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #handlers = new Map<number, GuestHandler>();
  /** Connections so far. */
  accepted = 0;
  #deaf = false;

  private constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(path: string): Promise<FakeGuest> {
    const guest = new FakeGuest(path);
    guest.#server.listen(path);
    await once(guest.#server, 'listening');
    return guest;
  }

  on(port: number, handler: GuestHandler): void {
    this.#handlers.set(port, handler);
  }

  off(port: number): void {
    this.#handlers.delete(port);
  }

  /** Leaves whoever comes from now on without an answer, as a device whose worker is gone; what is open stays so. */
  deafen(): void {
    this.#deaf = true;
  }

  /** Cuts every open connection, as a machine that dies does. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    this.accepted++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (this.#deaf) return;
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\n');
      if (end < 0) return;
      socket.off('data', onData);
      socket.pause();
      const port = /^CONNECT (\d+)$/.exec(head.subarray(0, end).toString())?.[1];
      const handler = this.#handlers.get(Number(port));
      if (handler === undefined) {
        socket.destroy();
        return;
      }
      socket.write(`OK ${port}\n`);
      if (end + 1 < head.length) socket.unshift(head.subarray(end + 1));
      handler(socket);
      socket.resume();
    };
    socket.on('data', onData);
  }
}
