import { connect, type Socket } from 'node:net';

/** Clients of one enclave that ask its app for bytes without end, and read them or not. */
export class EndlessClients implements Disposable {
  readonly #sockets: Socket[];

  constructor(port: number, count: number, isRead: boolean) {
    this.#sockets = Array.from({ length: count }, () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => socket.destroy()).write('GET /endless HTTP/1.1\r\nHost: app\r\n\r\n');
      return isRead ? socket.resume() : socket.pause();
    });
  }

  get bytes(): number {
    return this.#sockets.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
