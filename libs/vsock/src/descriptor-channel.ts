import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { addon } from './addon.ts';
import { sockaddr } from './address.ts';
import { errnoName, VsockError } from './errors.ts';
import { limits } from './limits.ts';
import { READABLE, systemError, Watch, WRITABLE } from './watch.ts';

const { EAGAIN, EINTR, EADDRINUSE } = constants.errno;

export interface ChannelEvents {
  /** The descriptors are the receiver's to close. */
  onMessage(message: unknown, descriptors: number[]): void;
  /** The other side is gone, or `close` was called. */
  onClose(): void;
}

/**
 * Two processes of one user on one machine: messages of JSON, each with open descriptors (SCM_RIGHTS on a Unix socket that
 * keeps the bounds of messages). Whoever holds a listening socket gives it to another so: both then listen at the same one,
 * with one queue, and no connection is lost when either closes its own.
 */
export class DescriptorChannel {
  readonly #watch: Watch;
  readonly #events: ChannelEvents;
  readonly #queue: { bytes: Buffer; descriptors: readonly number[] }[] = [];

  constructor(watch: Watch, events: ChannelEvents) {
    this.#watch = watch;
    this.#events = events;
    watch.onEvents = (happened) => this.#onEvents(happened);
    watch.want(READABLE);
  }

  /** Sends in order; the caller may close its descriptors once they are sent, which is at once unless the other is slow. */
  send(message: object, descriptors: readonly number[] = []): void {
    if (this.#watch.closed) return;
    const bytes = Buffer.from(JSON.stringify(message));
    if (bytes.length > limits.channelMessageBytes || this.#queue.length >= limits.channelMessages) {
      this.close();
      return;
    }
    this.#queue.push({ bytes, descriptors });
    if (this.#queue.length === 1) this.#flush();
  }

  close(): void {
    if (this.#watch.closed) return;
    this.#watch.close();
    this.#queue.length = 0;
    this.#events.onClose();
  }

  #onEvents(happened: number): void {
    if ((happened & WRITABLE) !== 0) this.#flush();
    if ((happened & READABLE) !== 0) this.#receive();
  }

  #flush(): void {
    for (let next = this.#queue[0]; next !== undefined && !this.#watch.closed; next = this.#queue[0]) {
      const result = addon().channelSend(this.#watch.fd, next.bytes, next.descriptors);
      if (result === -EAGAIN) {
        this.#watch.add(WRITABLE);
        return;
      }
      if (result < 0) {
        this.close();
        return;
      }
      this.#queue.shift();
    }
    if (!this.#watch.closed) this.#watch.remove(WRITABLE);
  }

  #receive(): void {
    const into = Buffer.allocUnsafe(limits.channelMessageBytes);
    while (!this.#watch.closed) {
      const descriptors: number[] = [];
      const n = addon().channelReceive(this.#watch.fd, into, descriptors);
      if (n === -EAGAIN) return;
      if (n === -EINTR) continue;
      const message = n > 0 ? parse(into.toString('utf8', 0, n)) : undefined;
      if (message === undefined) {
        for (const descriptor of descriptors) closeSync(descriptor);
        this.close();
        return;
      }
      this.#events.onMessage(message, descriptors);
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not one of ours: the channel is closed
  }
}

/** Waits for channels at a path that does not exist yet. Processes of other users are closed unheard. */
export class ChannelListener {
  readonly #watch: Watch;

  /** `onChannel` is called with the way to begin. @throws VsockError ADDRESS_IN_USE when the path exists */
  constructor(path: string, onChannel: (begin: (events: ChannelEvents) => DescriptorChannel) => void) {
    const fd = addon().channelListen(sockaddr({ type: 'unix', path }));
    if (fd === -EADDRINUSE) throw new VsockError('ADDRESS_IN_USE', `${path} exists`, { errno: EADDRINUSE });
    if (fd < 0) throw systemError(`listening at ${path}`, -fd);
    const peer = new Uint32Array(1);
    this.#watch = new Watch(fd, () => {
      const accepted = addon().socketAccept(fd, peer);
      if (accepted < 0) return; // told again while somebody waits
      const watch = new Watch(accepted, () => {});
      if (addon().channelPeer(accepted) !== process.getuid?.()) watch.close();
      else onChannel((events) => new DescriptorChannel(watch, events));
    });
    this.#watch.want(READABLE);
  }

  close(): void {
    this.#watch.close();
  }
}

/** Undefined where nobody listens at the path. @throws VsockError CHANNEL_REFUSED when another user does */
export function connectChannel(path: string, events: ChannelEvents): DescriptorChannel | undefined {
  const fd = addon().channelConnect(sockaddr({ type: 'unix', path }));
  if (fd < 0) {
    const name = errnoName(-fd);
    if (name === 'ENOENT' || name === 'ECONNREFUSED') return undefined;
    throw systemError(`connecting to ${path}`, -fd);
  }
  const watch = new Watch(fd, () => {});
  const user = addon().channelPeer(fd);
  if (user !== process.getuid?.()) {
    watch.close();
    throw new VsockError('CHANNEL_REFUSED', `${path} is listened at by another user (${user})`, {
      remedy: 'run both processes as the same user, in a folder that no other may write to',
    });
  }
  return new DescriptorChannel(watch, events);
}
