import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { VsockError } from './errors.ts';
import { limits } from './limits.ts';
import { VsockStream } from './stream.ts';

/** What of libuv's wrap of a socket is used; not a public interface of Node, so each part is checked before use. */
interface SocketHandle {
  fd: number;
  reading: boolean;
  readStart(): number;
  readStop(): number;
}

/** What stops and starts JavaScript's reading of a descriptor. */
interface Source {
  readonly fd: number;
  stop(): void;
  start(): void;
}

/** A stream that JavaScript no longer reads: its descriptor, and what had been read already. */
export class Taken {
  readonly head: Buffer;
  /** Bytes JavaScript wrote are still on their way: the relay must not write before this is settled. */
  readonly flushed: Promise<void> | undefined;
  readonly #stream: Duplex;
  readonly #source: Source;
  readonly #unread: Buffer | null;

  constructor(stream: Duplex, source: Source, before: Buffer, unread: Buffer | null) {
    this.#stream = stream;
    this.#source = source;
    this.#unread = unread;
    this.head = unread ? Buffer.concat([before, unread]) : before;
    this.flushed = stream.writableLength > 0 ? flush(stream) : undefined;
    // Nobody waits for it where the other end could not be taken
    this.flushed?.catch(() => undefined);
  }

  get fd(): number {
    return this.#source.fd;
  }

  get hybrid(): boolean {
    return this.#stream instanceof VsockStream && !this.#stream.halfClose;
  }

  /** Destroys the JavaScript stream; a duplicate of the descriptor lives on. */
  release(): void {
    this.#stream.destroy();
  }

  /** Gives the stream back to JavaScript as it was. */
  giveBack(): void {
    if (this.#stream.destroyed) return;
    if (this.#unread) this.#stream.unshift(this.#unread);
    this.#source.start();
  }
}

/**
 * Stops JavaScript's reading, in this very turn of the event loop: bytes that arrive later stay in the kernel.
 * `before` are bytes of this stream that the caller has read already.
 * @throws VsockError STREAM_UNSUPPORTED, STREAM_CLOSED, STREAM_BUSY
 */
export function takeOver(stream: Duplex, before: Buffer): Taken {
  if (!(stream instanceof Socket) && !(stream instanceof VsockStream))
    throw new VsockError('STREAM_UNSUPPORTED', 'only net.Socket and VsockStream can be handed to the relay');
  if (stream.destroyed || stream.writableEnded)
    throw new VsockError('STREAM_CLOSED', 'the stream to be handed to the relay is closed or was ended');
  if (stream.readableEncoding !== null)
    throw new VsockError('STREAM_UNSUPPORTED', 'a stream with setEncoding() gives no bytes to hand over');
  const source = stream instanceof Socket ? new SocketSource(stream) : new VsockSource(stream);
  source.stop();
  stream.removeAllListeners('data');
  stream.pause();
  const unread = stream.readableLength > 0 ? (stream.read() as Buffer | null) : null;
  source.stop(); // read() starts reading anew
  const length = before.length + (unread?.length ?? 0);
  if (length > limits.headBytes) {
    stream.destroy();
    throw new VsockError(
      'STREAM_BUSY',
      `${length} bytes were read before the hand-over; ${limits.headBytes} are allowed`,
    );
  }
  return new Taken(stream, source, before, unread);
}

class SocketSource implements Source {
  readonly fd: number;
  readonly #socket: Socket;
  readonly #handle: SocketHandle;
  readonly #readStart: SocketHandle['readStart'];
  readonly #allowHalfOpen: boolean;

  constructor(socket: Socket) {
    if ('encrypted' in socket)
      throw new VsockError(
        'STREAM_UNSUPPORTED',
        'a TLS socket cannot be handed over: its bytes on the wire are encrypted',
      );
    if (socket.connecting)
      throw new VsockError('STREAM_BUSY', 'the socket to be handed to the relay is still connecting');
    const handle = (socket as unknown as { _handle?: Partial<SocketHandle> | null })._handle;
    const fd = handle?.fd;
    if (!handle || typeof fd !== 'number' || fd < 0 || !handle.readStop || !handle.readStart)
      throw new VsockError('STREAM_UNSUPPORTED', 'this Node gives no descriptor for the socket to be handed over', {
        remedy: 'run the Node version the project pins',
      });
    this.fd = fd;
    this.#socket = socket;
    this.#handle = handle as SocketHandle;
    this.#readStart = this.#handle.readStart;
    // After it has told of bytes a socket starts to read anew, in a turn of its own
    this.#handle.readStart = () => 0;
    this.#allowHalfOpen = socket.allowHalfOpen;
    // Neither Node's own end-of-stream handling nor a server's inactivity timer may touch the socket from here on.
    socket.allowHalfOpen = true;
    socket.setTimeout(0);
  }

  stop(): void {
    this.#handle.reading = false;
    this.#handle.readStop();
  }

  start(): void {
    this.#socket.allowHalfOpen = this.#allowHalfOpen;
    this.#handle.reading = true;
    this.#handle.readStart = this.#readStart;
    this.#handle.readStart();
  }
}

class VsockSource implements Source {
  readonly fd: number;
  readonly #stream: VsockStream;

  constructor(stream: VsockStream) {
    this.fd = stream.fd;
    this.#stream = stream;
  }

  stop(): void {
    this.#stream.freeze();
  }

  start(): void {
    this.#stream.thaw();
  }
}

async function flush(stream: Duplex): Promise<void> {
  const written = Promise.withResolvers<void>();
  const closed = (): void =>
    written.reject(new VsockError('STREAM_CLOSED', 'the stream closed before its last bytes were written'));
  const late = setTimeout(() => {
    written.reject(new VsockError('STREAM_BUSY', `the stream did not take its last bytes in ${limits.takeoverMs} ms`));
  }, limits.takeoverMs);
  stream.once('close', closed);
  stream.write(Buffer.alloc(0), (cause) => {
    if (cause === null || cause === undefined) return written.resolve();
    written.reject(new VsockError('STREAM_CLOSED', 'the stream broke before its last bytes were written', { cause }));
  });
  try {
    await written.promise;
  } finally {
    clearTimeout(late);
    stream.off('close', closed);
  }
}
