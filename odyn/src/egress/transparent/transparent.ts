import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Destination, parseDestination, specialRange } from '@enclaver/egress-policy';
import { parseIpAddress, unmapped } from '@enclaver/manifest';
import type { Relay } from '@enclaver/vsock';
import { limits } from '../../limits.ts';
import { type Gate, Refusal } from '../gate.ts';
import { joinStreams } from '../tunnel.ts';
import { Redirect } from './redirect.ts';
import { Resolver } from './resolver.ts';
import { StandIns } from './stand-ins.ts';

export interface TransparentOptions {
  /** `/odyn/redirect` */
  readonly redirectPath: string;
  readonly dnsPort?: number;
}

/** Brings programs that know no proxy to their destinations: the kernel gives us their connections, a resolver their names. */
export class Transparent {
  readonly #gate: Gate;
  readonly #relay: Relay;
  readonly #standIns = new StandIns();
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  #redirect: Redirect | undefined;
  #resolver: Resolver | undefined;

  private constructor(gate: Gate, relay: Relay) {
    this.#gate = gate;
    this.#relay = relay;
    // What the app sends stays in the kernel until the relay takes the connection over
    const options = { pauseOnConnect: true, allowHalfOpen: true, noDelay: true };
    this.#listener = createServer(options, (socket) => void this.#accept(socket));
    this.#listener.maxConnections = limits.egressConnections;
  }

  /** @throws OdynError REDIRECT_FAILED */
  static async open(
    gate: Gate,
    relay: Relay,
    { redirectPath, dnsPort = 53 }: TransparentOptions,
  ): Promise<Transparent> {
    const transparent = new Transparent(gate, relay);
    transparent.#listener.listen({ port: 0, host: '::', backlog: limits.egressBacklog });
    await once(transparent.#listener, 'listening');
    try {
      transparent.#redirect = await Redirect.start(redirectPath, transparent.#listener);
      transparent.#resolver = await Resolver.open(gate, transparent.#standIns, dnsPort);
    } catch (error) {
      await transparent.close();
      throw error;
    }
    return transparent;
  }

  async close(): Promise<void> {
    await Promise.all([this.#redirect?.close(), this.#resolver?.close()]);
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #accept(socket: Socket): Promise<void> {
    const gone = new AbortController();
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.#sockets.delete(socket);
      gone.abort();
    });
    const destination = this.#destinationOf(socket);
    if (destination === undefined) {
      socket.resetAndDestroy();
      return;
    }
    try {
      const { stream, head } = await this.#gate.open(destination, gone.signal);
      await joinStreams(this.#relay, { stream: socket, head: Buffer.alloc(0) }, { stream, head });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      socket.resetAndDestroy();
    }
  }

  /** The address that the app dialled is that of our end. */
  #destinationOf({ localAddress = '', localPort = 0 }: Socket): Destination | undefined {
    const found = parseIpAddress(localAddress);
    const address = found && unmapped(found);
    // Only a program that has dialled the listener itself comes from loopback to loopback
    if (address === undefined || specialRange(address)?.name === 'loopback') return undefined;
    const destination = parseDestination(localAddress, localPort);
    if (!StandIns.has(address)) return destination;
    const name = this.#standIns.nameOf(address);
    if (name !== undefined) return parseDestination(name, localPort);
    this.#gate.refuse(destination, 'no name stands behind this address: it was looked up too long ago, or never');
    return undefined;
  }
}
