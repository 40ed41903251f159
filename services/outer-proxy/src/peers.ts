import { closeSync, lstatSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EnclaveRecord, enclaveRecordSchema } from '@enclaver/bus';
import { ChannelListener, connectChannel, type DescriptorChannel, VsockError } from '@enclaver/vsock';
import type { Logger } from 'pino';
import * as z from 'zod';
import { limits } from './limits.ts';

/** The listeners of one enclave, as they go from one outer-proxy to another. */
export interface SharedPorts {
  /** Its `ingress` is what is listened at now. */
  readonly record: EnclaveRecord;
  /** One for egress where the record has it, then one for each of `ingress`. */
  readonly descriptors: number[];
}

export interface PeersOptions {
  /** Undefined: there are no others, ever. */
  path: string | undefined;
  logger: Logger;
  /** All that is open here, for one that comes. */
  ports(): Iterable<Promise<SharedPorts | undefined>>;
  /** Listeners of another; their descriptors are closed after it. */
  onPorts(ports: SharedPorts[]): Promise<void>;
  /** The one that led has gone: what it did not come to is ours. */
  onLead(): void;
}

const messageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ports'), record: enclaveRecordSchema }),
  z.object({ type: z.literal('all') }),
  z.object({ type: z.literal('word'), word: z.string() }),
]);

/**
 * The outer-proxies of one host. One leads: it listens at `path`, opens what enclaves ask for and answers on the bus. The
 * others get its listening sockets, as file descriptors, and listen at them, too: there is one queue for all, so that
 * whoever ends takes no connection with it, and needs to tell nobody. When the leader goes, the first to notice leads.
 */
export class Peers {
  readonly #options: PeersOptions;
  readonly #followers = new Set<DescriptorChannel>();
  readonly #words = new Map<DescriptorChannel, Set<string>>();
  #listener: ChannelListener | undefined;
  #leader: DescriptorChannel | undefined;
  #closed = false;

  private constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Resolves when this one leads, or has taken over all that the leader has open. */
  static async join(options: PeersOptions): Promise<Peers> {
    const peers = new Peers(options);
    await peers.#join();
    return peers;
  }

  get leads(): boolean {
    return this.#leader === undefined;
  }

  /** Another outer-proxy listens at the same sockets. */
  get isShared(): boolean {
    return this.#leader !== undefined || this.#followers.size > 0;
  }

  /** Gives what has just been opened to the others. */
  tell(ports: SharedPorts): void {
    for (const follower of this.#followers) sendPorts(follower, ports);
  }

  /** Of one that follows: tells the one that leads. Of that one: resolves when all others have said so, `signal` says when to wait no longer. */
  async agree(word: string, signal: AbortSignal): Promise<void> {
    this.#leader?.send({ type: 'word', word });
    const isMissing = () => [...this.#followers].some((follower) => !this.#words.get(follower)?.has(word));
    while (isMissing() && !signal.aborted) await sleep(limits.agreeLookMs);
    for (const words of this.#words.values()) words.delete(word);
  }

  close(): void {
    this.#closed = true;
    // First the path: who looks for a leader from now on becomes one
    if (this.#listener !== undefined && this.#options.path !== undefined) rmSync(this.#options.path, { force: true });
    this.#listener?.close();
    this.#leader?.close();
    for (const follower of this.#followers) follower.close();
  }

  async #join(): Promise<void> {
    const { path, logger } = this.#options;
    while (path !== undefined && !this.#closed) {
      if (await this.#follow(path)) return;
      // Nobody listens there: what is left of one that was killed goes
      rmSync(path, { force: true });
      if (await this.#lead(path)) break;
    }
    logger.info({ path }, 'this outer-proxy leads');
  }

  /** False when nobody leads, or the one that does is not heard. */
  async #follow(path: string): Promise<boolean> {
    const all = Promise.withResolvers<boolean>();
    const early: SharedPorts[] = [];
    let isComplete = false;
    const channel = connectChannel(path, {
      onMessage: (data, descriptors) => {
        const message = messageSchema.parse(data);
        if (message.type === 'all') {
          isComplete = true;
          this.#take(early).then(() => all.resolve(true), all.reject);
        } else if (message.type === 'ports') {
          const ports = { record: message.record, descriptors };
          if (isComplete) void this.#take([ports]);
          else early.push(ports);
        }
      },
      onClose: () => {
        all.resolve(false);
        if (this.#leader === channel) void this.#onLeaderGone();
      },
    });
    if (channel === undefined) return false;
    const timer = setTimeout(() => {
      this.#options.logger.warn('the outer-proxy that leads does not answer: this one leads in its place');
      channel.close();
    }, limits.peerMs);
    const follows = await all.promise;
    clearTimeout(timer);
    if (follows) this.#leader = channel;
    return follows;
  }

  async #take(ports: SharedPorts[]): Promise<void> {
    await this.#options.onPorts(ports);
    for (const descriptor of ports.flatMap(({ descriptors }) => descriptors)) closeSync(descriptor);
  }

  async #onLeaderGone(): Promise<void> {
    this.#leader = undefined;
    if (this.#closed) return;
    await this.#join();
    if (this.leads) this.#options.onLead();
  }

  /** False when another was faster. */
  async #lead(path: string): Promise<boolean> {
    try {
      this.#listener = new ChannelListener(path, (begin) => this.#welcome(begin));
    } catch (error) {
      if (!(error instanceof VsockError) || error.code !== 'ADDRESS_IN_USE') throw error;
      await sleep(limits.peerRetryMs);
      return false;
    }
    // Two that found the place of one that was killed may each have cleared it: the last one there has it
    const { ino } = lstatSync(path);
    await sleep(limits.peerRetryMs);
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) return true;
    this.#listener.close();
    this.#listener = undefined;
    return false;
  }

  #welcome(begin: (events: Parameters<typeof connectChannel>[1]) => DescriptorChannel): void {
    const words = new Set<string>();
    const channel = begin({
      onMessage: (data) => {
        const message = messageSchema.parse(data);
        if (message.type === 'word' && words.size < limits.agreements) words.add(message.word);
      },
      onClose: () => {
        this.#followers.delete(channel);
        this.#words.delete(channel);
      },
    });
    this.#words.set(channel, words);
    // From here on it hears of what is opened, too; twice of some enclaves, perhaps
    this.#followers.add(channel);
    void this.#tellAll(channel);
  }

  async #tellAll(channel: DescriptorChannel): Promise<void> {
    for (const ports of await Promise.all(this.#options.ports())) if (ports !== undefined) sendPorts(channel, ports);
    channel.send({ type: 'all' });
  }
}

function sendPorts(channel: DescriptorChannel, { record, descriptors }: SharedPorts): void {
  channel.send({ type: 'ports', record }, descriptors);
}
