import type { Socket } from 'node:net';
import {
  decodeLogHello,
  encodeLogRecord,
  encodeLostCount,
  LOG_HELLO_BYTES,
  LOG_PORT,
  type LogRecord,
} from '@enclaver/wire';
import type { FakeGuest } from '../../../libs/vsock/test/fake-guest.ts';

/** The enclave's side of the log protocol: keeps all records, sends them from where the reader asks. */
export class FakeLog {
  readonly hellos: bigint[] = [];
  readonly #records: LogRecord[] = [];
  readonly #readers = new Set<Socket>();

  constructor(guest: FakeGuest) {
    guest.on(LOG_PORT, (socket) => this.#serve(socket));
  }

  add(stream: LogRecord['stream'], payload: Buffer | string, more: Partial<LogRecord> = {}): void {
    const last = this.#records.at(-1);
    const sequence =
      last === undefined ? 0n : last.sequence + (last.stream === 'lost' ? last.payload.readBigUInt64LE() : 1n);
    const record = {
      stream,
      sequence,
      timeUs: 1_700_000_000_000_123n,
      continues: false,
      payload: Buffer.from(payload),
      ...more,
    };
    this.#records.push(record);
    for (const socket of this.#readers) socket.write(encodeLogRecord(record));
  }

  lose(count: bigint): void {
    this.add('lost', encodeLostCount(count));
  }

  end(): void {
    this.add('end', '');
  }

  #serve(socket: Socket): void {
    let hello = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      hello = Buffer.concat([hello, chunk]);
      if (hello.length < LOG_HELLO_BYTES) return;
      socket.off('data', onData);
      const from = decodeLogHello(hello);
      this.hellos.push(from);
      for (const record of this.#records) if (record.sequence >= from) socket.write(encodeLogRecord(record));
      this.#readers.add(socket);
      socket.on('close', () => this.#readers.delete(socket));
    };
    socket.on('data', onData);
  }
}
