import { constants } from 'node:os';
import { Duplex } from 'node:stream';
import { addon } from './addon.ts';
import { errnoName, VsockError } from './errors.ts';
import { limits } from './limits.ts';
import { READABLE, type Watch, WRITABLE } from './watch.ts';

type Done = (error?: Error | null) => void;

const { EAGAIN, EWOULDBLOCK, ENOTCONN } = constants.errno;
/** Reads of one event before other sockets get their turn. */
const READS_PER_EVENT = 8;
/** Shared by all streams of this thread: what is read is copied out at once, so that small reads stay small in memory. */
const scratch = Buffer.allocUnsafeSlow(limits.readBytes);

/** Whose turn it is among streams that share something: asked before each read and write, told of the bytes after it. */
export interface StreamGate {
  /** True: go on. False: `go` is called when it is this one's turn. */
  enter(go: () => void): boolean;
  passed(received: number, sent: number): void;
}

export interface StreamOptions {
  /** CID of the other side, where the socket knows it. */
  peerCid?: number;
  /** False through a Unix-socket vsock device: there end() closes both directions as the other side sees it. */
  halfClose: boolean;
}

/**
 * A connected vsock stream (AF_VSOCK, or a Unix socket of a vsock device) as a Node stream.
 * end() shuts the writing half; destroy() closes. Errors are VsockError STREAM_FAILED with `errno`.
 */
export class VsockStream extends Duplex {
  readonly peerCid: number | undefined;
  readonly halfClose: boolean;
  readonly #watch: Watch;
  #queue: Buffer[] = [];
  #written: Done | undefined;
  #frozen = false;
  /** It waits for its turn to read. */
  #waits = false;
  /** Undefined: it may read and write at any time. */
  gate: StreamGate | undefined;

  constructor(watch: Watch, options: StreamOptions) {
    // Without half-close the other side's end is the end of both.
    super({ allowHalfOpen: options.halfClose, decodeStrings: true });
    this.peerCid = options.peerCid;
    this.halfClose = options.halfClose;
    this.#watch = watch;
    watch.want(0);
    watch.onEvents = (events) => this.#onEvents(events);
  }

  /** The descriptor, for the relay; the stream keeps it. */
  get fd(): number {
    return this.#watch.closed ? -1 : this.#watch.fd;
  }

  /** Stops reading from the socket, until thaw(): for the relay, which reads on from the same place. */
  freeze(): void {
    this.#frozen = true;
    this.#watch.remove(READABLE);
  }

  thaw(): void {
    this.#frozen = false;
    this.#watch.add(READABLE);
  }

  override _read(): void {
    if (!this.#frozen && !this.#waits) this.#watch.add(READABLE);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#queue = [chunk];
    this.#written = done;
    this.#sendInTurn();
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#queue = chunks.map(({ chunk }) => chunk);
    this.#written = done;
    this.#sendInTurn();
  }

  override _final(done: Done): void {
    const result = addon().socketShutdown(this.#watch.fd);
    // A peer that is gone already needs no notice of our end.
    done(result < 0 && result !== -ENOTCONN ? this.#failure('ending', -result) : null);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#watch.close();
    const written = this.#written;
    this.#written = undefined;
    this.#queue = [];
    written?.(error ?? new VsockError('STREAM_CLOSED', 'the vsock stream was closed before all was written'));
    done(error);
  }

  #onEvents(events: number): void {
    if ((events & WRITABLE) !== 0 && this.#written) this.#send();
    if ((events & READABLE) !== 0 && !this.#waits) this.#receive();
  }

  #receive(): void {
    for (let i = 0; i < READS_PER_EVENT; i++) {
      if (this.gate?.enter(this.#receiveInTurn) === false) {
        this.#waits = true;
        this.#watch.remove(READABLE);
        return;
      }
      if (this.#receiveOnce() !== 'more') return;
    }
  }

  readonly #receiveInTurn = (): void => {
    this.#waits = false;
    if (this.#receiveOnce() !== 'stop') this._read();
  };

  /** Whether there may be more now, or later, or more is not wanted. */
  #receiveOnce(): 'more' | 'later' | 'stop' {
    if (this.destroyed || this.#frozen) return 'stop';
    const n = addon().socketRecv(this.#watch.fd, scratch);
    if (n === -EAGAIN || n === -EWOULDBLOCK) return 'later';
    if (n < 0) {
      this.destroy(this.#failure('reading', -n));
      return 'stop';
    }
    if (n === 0) {
      this.#watch.remove(READABLE);
      this.push(null);
      return 'stop';
    }
    this.gate?.passed(n, 0);
    if (!this.push(Buffer.from(scratch.subarray(0, n)))) {
      this.#watch.remove(READABLE);
      return 'stop';
    }
    return n < scratch.length ? 'later' : 'more';
  }

  #sendInTurn(): void {
    if (this.gate?.enter(this.#send) !== false) this.#send();
  }

  readonly #send = (): void => {
    if (!this.#written) return;
    while (this.#queue.length > 0) {
      const chunk = this.#queue[0] as Buffer;
      const n = chunk.length === 0 ? 0 : addon().socketSend(this.#watch.fd, chunk.subarray(0, limits.writeBytes));
      if (n === -EAGAIN || n === -EWOULDBLOCK) {
        this.#watch.add(WRITABLE);
        return;
      }
      if (n < 0) {
        this.#sent(this.#failure('writing', -n));
        return;
      }
      this.gate?.passed(0, n);
      if (n < chunk.length) this.#queue[0] = chunk.subarray(n);
      else this.#queue.shift();
    }
    this.#sent(null);
  };

  #sent(error: Error | null): void {
    const written = this.#written;
    this.#written = undefined;
    this.#queue = [];
    this.#watch.remove(WRITABLE);
    written?.(error);
  }

  #failure(what: string, errno: number): VsockError {
    return new VsockError('STREAM_FAILED', `${what} on the vsock stream failed (${errnoName(errno)})`, { errno });
  }
}
