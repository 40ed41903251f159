import { randomBytes } from 'node:crypto';
import type { Server } from 'node:tls';

/** Name, HMAC key and AES key of OpenSSL's session tickets, 16 bytes each. */
const BYTES = 48;

/**
 * What a server seals its clients' sessions with: made here, never outside this process, and changed now and then, so that
 * whoever gets the keys of one period reads no TLS 1.2 session of another that was recorded.
 */
export class TicketKeys {
  readonly #timer: NodeJS.Timeout;

  constructor(server: Server, periodMs: number) {
    server.setTicketKeys(randomBytes(BYTES));
    this.#timer = setInterval(() => server.setTicketKeys(randomBytes(BYTES)), periodMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
