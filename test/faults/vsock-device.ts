import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { parseConnectLine, Relay } from '@enclaver/vsock';

const CONNECT_MS = 1_000;

/**
 * In the place of vhost-device-vsock, for an odyn without a machine: two folders' ends of one vsock. Whoever dials at
 * `<end>` says `CONNECT <port>`, and meets what listens at `<other end>_<port>`. As with a vsock, a peer that has closed is told from
 * one that only says no more.
 */
export class VsockDevice {
  readonly #ends: readonly [host: string, guest: string];
  #relay = new Relay();
  #servers: Server[] = [];

  constructor(ends: { host: string; guest: string }) {
    this.#ends = [ends.host, ends.guest];
  }

  async start(): Promise<void> {
    const [host, guest] = this.#ends;
    this.#relay = new Relay();
    this.#servers = [this.#listen(host, guest), this.#listen(guest, host)];
    await Promise.all(this.#servers.map((server) => once(server, 'listening')));
  }

  /** All connections break, and none is taken. */
  async stop(): Promise<void> {
    const closed = this.#servers.map((server) => once(server.close(), 'close'));
    await this.#relay.close();
    await Promise.all(closed);
  }

  #listen(from: string, to: string): Server {
    return createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket, to)).listen(from);
  }

  #accept(socket: Socket, to: string): void {
    socket.on('error', () => socket.destroy());
    let head = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\n') + 1;
      if (end === 0) return;
      socket.off('data', read).pause();
      const port = parseConnectLine(head.toString('latin1', 0, end));
      const connect = { type: 'unix', path: `${to}_${port}` } as const;
      this.#relay
        .join(
          { stream: socket, head: head.subarray(end) },
          { connect, timeoutMs: CONNECT_MS, head: Buffer.from('OK 1024\n') },
        )
        .then(
          ({ reason }) => reason === 'connect-failed' && socket.destroy(),
          () => socket.destroy(),
        );
    };
    socket.on('data', read);
  }
}
