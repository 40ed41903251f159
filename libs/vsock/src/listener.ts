import { closeSync, lstatSync, type Stats, unlinkSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { Acceptor } from './acceptor.ts';
import { addon } from './addon.ts';
import { type ListenAddress, sockaddr } from './address.ts';
import { VsockError } from './errors.ts';
import { limits } from './limits.ts';
import { type StreamOptions, VsockStream } from './stream.ts';
import { systemError, Watch } from './watch.ts';

/** The same open socket under a number of its own. @throws VsockError SYSTEM_FAILED */
export function duplicateDescriptor(descriptor: number): number {
  const fd = addon().socketListen(sockaddr({ type: 'unix', path: '/' }), 0, descriptor, false);
  if (fd < 0) throw systemError('duplicating a descriptor', -fd);
  return fd;
}

/** Makes a stream of a descriptor, and owns it. */
type Adopt<Stream> = (fd: number, options: StreamOptions) => Stream;

export const adoptStream: Adopt<VsockStream> = (fd, options) => new VsockStream(new Watch(fd, () => {}), options);

/** A listener whose streams go to JavaScript. */
export class StreamListener<Stream extends Duplex = VsockStream> {
  readonly #acceptor: Acceptor;
  readonly #address: ListenAddress;
  readonly #onStream: (stream: Stream) => void;
  readonly #adopt: Adopt<Stream>;
  readonly #maxStreams: number;
  readonly #file: Stats | undefined;
  #open = 0;

  /** @throws VsockError ADDRESS_IN_USE, LISTEN_FAILED, NO_VSOCK, ADDRESS_INVALID */
  constructor(
    address: ListenAddress,
    onStream: (stream: Stream) => void,
    adopt: Adopt<Stream>,
    maxStreams: number = limits.listenerStreams,
  ) {
    this.#address = address;
    this.#onStream = onStream;
    this.#adopt = adopt;
    this.#maxStreams = maxStreams;
    this.#acceptor = new Acceptor(address, (fd, peerCid) => this.#admit(fd, peerCid));
    if (address.type === 'unix') this.#file = lstatSync(address.path);
  }

  /** Times that it paused for want of descriptors or memory. */
  get acceptErrors(): number {
    return this.#acceptor.acceptErrors;
  }

  get descriptor(): number {
    return this.#acceptor.descriptor;
  }

  /** Takes nothing for a moment. */
  pause(): void {
    this.#acceptor.pause();
  }

  /** Stops listening; open streams stay. `shared`: another process goes on at this very socket, and keeps its path. */
  close({ shared = false }: { shared?: boolean } = {}): void {
    if (this.descriptor < 0) return;
    // What waits is reset, as ever: whoever closes has no more use for streams
    this.#acceptor.close({ shared: true });
    if (this.#address.type !== 'unix' || !this.#file || shared) return;
    // Another process may have put its own socket there since.
    const now = lstatSync(this.#address.path, { throwIfNoEntry: false });
    if (now && now.ino === this.#file.ino && now.dev === this.#file.dev) unlinkSync(this.#address.path);
  }

  #admit(fd: number, peerCid: number): void {
    const vsock = this.#address.type === 'vsock';
    const allowed = this.#address.type !== 'vsock' || (this.#address.peerCids?.includes(peerCid) ?? true);
    if (!allowed || this.#open >= this.#maxStreams) {
      closeSync(fd);
      return;
    }
    const halfClose = !(this.#address.type !== 'tcp' && this.#address.hybrid === true);
    let stream: Stream;
    try {
      stream = this.#adopt(fd, vsock ? { halfClose, peerCid } : { halfClose });
    } catch (error) {
      if (!(error instanceof VsockError)) throw error;
      // As where accept finds no descriptor; this one connection is closed
      this.#acceptor.pause();
      return;
    }
    this.#open++;
    stream.once('close', () => this.#open--);
    this.#onStream(stream);
  }
}
