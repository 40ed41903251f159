import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { parseConnectLine } from '@enclaver/vsock';

/**
 * In the place of vhost-device-vsock, for an odyn without a machine: two folders' ends of one vsock. Whoever dials at
 * `<end>` says `CONNECT <port>`, and meets what listens at `<other end>_<port>`.
 */
export class VsockDevice {
  readonly #ends: readonly [host: string, guest: string];
  readonly #sockets = new Set<Socket>();
  #servers: Server[] = [];

  constructor(ends: { host: string; guest: string }) {
    this.#ends = [ends.host, ends.guest];
  }

  async start(): Promise<void> {
    const [host, guest] = this.#ends;
    this.#servers = [this.#listen(host, guest), this.#listen(guest, host)];
    await Promise.all(this.#servers.map((server) => once(server, 'listening')));
  }

  /** All connections break, and none is taken. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => once(server.close(), 'close')));
  }

  #listen(from: string, to: string): Server {
    return createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket, to)).listen(from);
  }

  #accept(socket: Socket, to: string): void {
    this.#keep(socket);
    let head = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\n') + 1;
      if (end === 0) return;
      socket.off('data', read).pause();
      const port = parseConnectLine(head.toString('latin1', 0, end));
      const far = connect({ path: `${to}_${port}`, allowHalfOpen: true });
      this.#keep(far);
      far.once('close', () => far.errored && socket.destroy());
      socket.once('close', () => socket.errored && far.destroy());
      far.once('connect', () => {
        socket.write('OK 1024\n');
        far.write(head.subarray(end));
        socket.pipe(far).pipe(socket);
      });
    };
    socket.on('data', read);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  }
}
