import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { addon } from './addon.ts';
import { duplicateDescriptor } from './listener.ts';
import type { VsockStream } from './stream.ts';
import { systemError } from './watch.ts';

/**
 * A connected socket of any family as one of Node's own, which owns the descriptor from here on. Node's TLS reads and writes such a
 * one without JavaScript in between; it does not adopt AF_VSOCK by itself. What it goes by is the family of the descriptor when it is
 * made, so it is made of an unconnected Unix socket, in whose place the real one is put before the event loop comes to it.
 * @throws VsockError SYSTEM_FAILED
 */
export function nodeSocket(fd: number, { halfClose }: { halfClose: boolean }): Socket {
  const place = addon().socketPlace();
  if (place < 0) {
    closeSync(fd);
    throw systemError('making a socket', -place);
  }
  const socket = new Socket({ fd: place, allowHalfOpen: halfClose });
  const result = addon().socketMove(fd, place);
  if (result === 0) return socket;
  socket.destroy();
  throw systemError('adopting a socket', -result);
}

/** A stream as a socket of Node's own, with what was read ahead of it; the stream is over. @throws VsockError SYSTEM_FAILED */
export function nodeSocketOf(stream: VsockStream): Socket {
  try {
    const early = stream.read() as Buffer | null;
    const socket = nodeSocket(duplicateDescriptor(stream.fd), stream);
    if (early !== null) socket.unshift(early);
    return socket;
  } finally {
    stream.destroy();
  }
}
