import { constants } from 'node:os';
import { addon } from './addon.ts';
import { describeAddress, type ListenAddress, sockaddr } from './address.ts';
import { listenError } from './errors.ts';
import { limits } from './limits.ts';
import { READABLE, Watch } from './watch.ts';

const { EAGAIN, EWOULDBLOCK, ECONNABORTED, EINTR } = constants.errno;

/**
 * A listening socket whose connections go to JavaScript, as descriptors. Errors of accept never end it: it pauses, what wants to
 * connect waits in the kernel, and it goes on. Node's own listener resets those connections, and tells nobody.
 */
export class Acceptor {
  readonly #watch: Watch;
  readonly #onAccept: (fd: number, peerCid: number) => void;
  readonly #peerCid = new Uint32Array(1);
  #acceptErrors = 0;
  #pause: NodeJS.Timeout | undefined;

  /** `onAccept` owns the descriptor. @throws VsockError ADDRESS_IN_USE, LISTEN_FAILED, NO_VSOCK, ADDRESS_INVALID */
  constructor(address: ListenAddress, onAccept: (fd: number, peerCid: number) => void) {
    this.#onAccept = onAccept;
    const reusePort = address.type === 'tcp' && address.reusePort === true;
    const fd = addon().socketListen(sockaddr(address), limits.backlog, address.descriptor ?? null, reusePort);
    if (fd < 0) throw listenError(describeAddress(address), -fd);
    this.#watch = new Watch(fd, () => this.#accept());
    this.#watch.want(READABLE);
  }

  /** Times that it paused for want of descriptors or memory. */
  get acceptErrors(): number {
    return this.#acceptErrors;
  }

  get descriptor(): number {
    return this.#watch.closed ? -1 : this.#watch.fd;
  }

  /** Takes what has connected so far, and listens no more. `shared`: another process goes on at this very socket, and takes that. */
  close({ shared = false }: { shared?: boolean } = {}): void {
    if (this.#watch.closed) return;
    clearTimeout(this.#pause);
    this.#pause = undefined;
    if (!shared) this.#accept(limits.backlog);
    clearTimeout(this.#pause);
    this.#watch.close();
  }

  /** Takes nothing for a moment: who connects waits in the kernel's queue, or finds it full. */
  pause(): void {
    if (this.#watch.closed || this.#pause !== undefined) return;
    this.#watch.want(0);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#watch.want(READABLE);
    }, limits.acceptPauseMs);
  }

  #accept(batch: number = limits.acceptBatch): void {
    for (let i = 0; i < batch && !this.#watch.closed && this.#pause === undefined; i++) {
      const fd = addon().socketAccept(this.#watch.fd, this.#peerCid);
      if (fd === -EAGAIN || fd === -EWOULDBLOCK) return;
      if (fd === -ECONNABORTED || fd === -EINTR) continue;
      if (fd < 0) {
        this.#acceptErrors++;
        this.pause();
        return;
      }
      this.#onAccept(fd, this.#peerCid[0] as number);
    }
  }
}
