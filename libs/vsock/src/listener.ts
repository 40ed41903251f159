import { lstatSync, type Stats, unlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { addon } from './addon.ts';
import { describeAddress, type ListenAddress, sockaddr } from './address.ts';
import { listenError } from './errors.ts';
import { limits } from './limits.ts';
import { VsockStream } from './stream.ts';
import { READABLE, systemError, Watch } from './watch.ts';

const { EAGAIN, EWOULDBLOCK, ECONNABORTED, EINTR } = constants.errno;

/** The same open socket under a number of its own. @throws VsockError SYSTEM_FAILED */
export function duplicateDescriptor(descriptor: number): number {
  const fd = addon().socketListen(sockaddr({ type: 'unix', path: '/' }), 0, descriptor);
  if (fd < 0) throw systemError('duplicating a descriptor', -fd);
  return fd;
}

/** A listener whose streams go to JavaScript. Errors of accept never end it: it pauses and goes on. */
export class StreamListener {
  readonly #watch: Watch;
  readonly #address: ListenAddress;
  readonly #onStream: (stream: VsockStream) => void;
  readonly #peerCid = new Uint32Array(1);
  readonly #file: Stats | undefined;
  #open = 0;
  #acceptErrors = 0;
  #pause: NodeJS.Timeout | undefined;

  /** @throws VsockError ADDRESS_IN_USE, LISTEN_FAILED, NO_VSOCK, ADDRESS_INVALID */
  constructor(address: ListenAddress, onStream: (stream: VsockStream) => void) {
    this.#address = address;
    this.#onStream = onStream;
    const fd = addon().socketListen(sockaddr(address), limits.backlog, address.descriptor ?? null);
    if (fd < 0) throw listenError(describeAddress(address), -fd);
    this.#watch = new Watch(fd, () => this.#accept());
    this.#watch.want(READABLE);
    if (address.type === 'unix') this.#file = lstatSync(address.path);
  }

  /** Times that it paused for want of descriptors or memory. */
  get acceptErrors(): number {
    return this.#acceptErrors;
  }

  get descriptor(): number {
    return this.#watch.closed ? -1 : this.#watch.fd;
  }

  /** Stops listening; open streams stay. `shared`: another process goes on at this very socket, and keeps its path. */
  close({ shared = false }: { shared?: boolean } = {}): void {
    if (this.#watch.closed) return;
    clearTimeout(this.#pause);
    this.#watch.close();
    if (this.#address.type !== 'unix' || !this.#file || shared) return;
    // Another process may have put its own socket there since.
    const now = lstatSync(this.#address.path, { throwIfNoEntry: false });
    if (now && now.ino === this.#file.ino && now.dev === this.#file.dev) unlinkSync(this.#address.path);
  }

  #accept(): void {
    for (let i = 0; i < limits.acceptBatch && !this.#watch.closed; i++) {
      const fd = addon().socketAccept(this.#watch.fd, this.#peerCid);
      if (fd === -EAGAIN || fd === -EWOULDBLOCK) return;
      if (fd === -ECONNABORTED || fd === -EINTR) continue;
      if (fd < 0) {
        this.#acceptErrors++;
        this.#watch.want(0);
        this.#pause = setTimeout(() => this.#watch.want(READABLE), limits.acceptPauseMs);
        return;
      }
      this.#admit(fd, this.#peerCid[0] as number);
    }
  }

  #admit(fd: number, peerCid: number): void {
    const vsock = this.#address.type === 'vsock';
    const allowed = this.#address.type !== 'vsock' || (this.#address.peerCids?.includes(peerCid) ?? true);
    const watch = new Watch(fd, () => {});
    if (!allowed || this.#open >= limits.listenerStreams) {
      watch.close();
      return;
    }
    const halfClose = !(this.#address.type !== 'tcp' && this.#address.hybrid === true);
    const stream = new VsockStream(watch, vsock ? { halfClose, peerCid } : { halfClose });
    this.#open++;
    stream.once('close', () => this.#open--);
    this.#onStream(stream);
  }
}
