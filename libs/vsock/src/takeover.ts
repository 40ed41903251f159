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

/** A stream that JavaScript no longer reads: its descriptor, and what had been read already. */
export interface Taken {
  readonly fd: number;
  readonly hybrid: boolean;
  readonly head: Buffer;
  /** Bytes JavaScript wrote are still on their way: the relay must not write before this is settled. */
  readonly flushed: Promise<void> | undefined;
  /** Destroys the JavaScript stream; a duplicate of the descriptor lives on. */
  release(): void;
  /** Gives the stream back to JavaScript as it was. */
  giveBack(): void;
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
  const source = stream instanceof Socket ? stopSocket(stream) : stopVsock(stream);
  stream.removeAllListeners('data');
  stream.pause();
  const buffered = stream.readableLength > 0 ? (stream.read() as Buffer | null) : null;
  source.stop(); // read() starts reading anew
  const length = before.length + (buffered?.length ?? 0);
  if (length > limits.headBytes) {
    stream.destroy();
    throw new VsockError(
      'STREAM_BUSY',
      `${length} bytes were read before the hand-over; ${limits.headBytes} are allowed`,
    );
  }
  return {
    fd: source.fd,
    hybrid: stream instanceof VsockStream && !stream.halfClose,
    head: buffered ? Buffer.concat([before, buffered]) : before,
    flushed: stream.writableLength > 0 ? flush(stream) : undefined,
    release: () => {
      stream.destroy();
    },
    giveBack: () => {
      if (stream.destroyed) return;
      if (buffered) stream.unshift(buffered);
      source.start();
    },
  };
}

interface Source {
  readonly fd: number;
  stop(): void;
  start(): void;
}

function stopSocket(socket: Socket): Source {
  if ('encrypted' in socket)
    throw new VsockError(
      'STREAM_UNSUPPORTED',
      'a TLS socket cannot be handed over: its bytes on the wire are encrypted',
    );
  if (socket.connecting)
    throw new VsockError('STREAM_BUSY', 'the socket to be handed to the relay is still connecting');
  const handle = (socket as unknown as { _handle?: Partial<SocketHandle> | null })._handle;
  if (!handle || typeof handle.fd !== 'number' || handle.fd < 0 || !handle.readStop || !handle.readStart)
    throw new VsockError('STREAM_UNSUPPORTED', 'this Node gives no descriptor for the socket to be handed over', {
      remedy: 'run the Node version the project pins',
    });
  const known = handle as SocketHandle;
  const stop = (): void => {
    known.reading = false;
    known.readStop();
  };
  stop();
  const { allowHalfOpen } = socket;
  // Neither Node's own end-of-stream handling nor a server's inactivity timer may touch the socket from here on.
  socket.allowHalfOpen = true;
  socket.setTimeout(0);
  return {
    fd: known.fd,
    stop,
    start: () => {
      socket.allowHalfOpen = allowHalfOpen;
      known.reading = true;
      known.readStart();
    },
  };
}

function stopVsock(stream: VsockStream): Source {
  stream.freeze();
  return { fd: stream.fd, stop: () => stream.freeze(), start: () => stream.thaw() };
}

async function flush(stream: Duplex): Promise<void> {
  const written = Promise.withResolvers<void>();
  const closed = (): void =>
    written.reject(new VsockError('STREAM_CLOSED', 'the stream closed before its last bytes were written'));
  const late = setTimeout(() => {
    written.reject(new VsockError('STREAM_BUSY', `the stream did not take its last bytes in ${limits.takeoverMs} ms`));
  }, limits.takeoverMs);
  stream.once('close', closed);
  stream.write(Buffer.alloc(0), (error) => (error ? written.reject(error) : written.resolve()));
  try {
    await written.promise;
  } finally {
    clearTimeout(late);
    stream.off('close', closed);
  }
}
