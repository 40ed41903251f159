import { setTimeout as sleep } from 'node:timers/promises';
import type { PublishedPort } from '@enclaver/bus';
import type { Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import { type Destination, freePort, type Ingress, listenError, type Opening } from '../ingress.ts';
import { type Limits, limits } from '../limits.ts';
import type { HttpListener, HttpListenerTools } from './http-listener.ts';
import type { OnRequestEnd } from './request-entry.ts';
import type { Target, TargetState } from './target.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

type Closing = Parameters<Ingress['close']>[0];

export interface HttpPortsOptions {
  bounds?: Limits;
  onRequestEnd?: OnRequestEnd;
  trusted?: TrustedProxies | undefined;
}

/** The HTTP listeners of all enclaves, one for each address, shared by those that are published there. */
export class HttpPorts {
  readonly #tools: HttpListenerTools;
  readonly #listeners = new Map<string, Promise<HttpListener>>();
  readonly #routes = new Set<HttpRouteIngress>();

  constructor(
    relay: Relay,
    logger: Logger,
    { bounds = limits, onRequestEnd = () => undefined, trusted }: HttpPortsOptions = {},
  ) {
    this.#tools = { relay, logger, limits: bounds, onRequestEnd, trusted };
  }

  /** Errors: `ROUTE_IN_USE` and those of `openIngress`. */
  async open(to: Destination, asked: PublishedPort, opening: Opening): Promise<HttpRouteIngress> {
    const { Target } = await import('./target.ts');
    const make = (enclave: Destination) => Target.make(enclave, asked, this.#tools.limits);
    const target = await make(to);
    const listener = await this.#listener(asked, opening);
    const published = { ...asked, port: listener.port };
    const route = new HttpRouteIngress(published, target, listener, make, async (options) => {
      this.#routes.delete(route);
      if (listener.routes.isInUse) return;
      if (!listener.isDraining) this.#listeners.delete(keyOf(published));
      await listener.close(options);
    });
    try {
      listener.routes.add(asked.route ?? {}, target);
    } catch (error) {
      await route.close({ drainMs: 0, shared: false });
      throw error;
    }
    this.#routes.add(route);
    return route;
  }

  /** What the enclave's events say of it: an enclave that is not ready is asked nothing. */
  setState(id: string, state: TargetState): void {
    for (const { target } of this.#routes) if (target.id === id) target.state = state;
  }

  async #listener(asked: PublishedPort, from: Opening): Promise<HttpListener> {
    const open = this.#listeners.get(keyOf(asked));
    if (open !== undefined) return await open;
    const opening = this.#open(asked, from);
    if (asked.port === 0) {
      const listener = await opening;
      this.#listeners.set(keyOf({ ...asked, port: listener.port }), opening);
      return listener;
    }
    this.#listeners.set(keyOf(asked), opening);
    try {
      return await opening;
    } catch (error) {
      this.#listeners.delete(keyOf(asked));
      throw error;
    }
  }

  async #open(asked: PublishedPort, { held, descriptor }: Opening): Promise<HttpListener> {
    const port = held || descriptor !== undefined ? asked.port : await freePort(asked);
    const { HttpListener } = await import('./http-listener.ts');
    try {
      return new HttpListener(this.#tools, { host: asked.host, port, descriptor });
    } catch (cause) {
      throw listenError(asked, cause);
    }
  }
}

/** One route of one enclave, on a listener that others share. */
class HttpRouteIngress implements Ingress {
  readonly published: PublishedPort;
  readonly #listener: HttpListener;
  readonly #make: (to: Destination) => Promise<Target>;
  readonly #onClose: (options: Closing) => Promise<void>;
  #target: Target;

  constructor(
    published: PublishedPort,
    target: Target,
    listener: HttpListener,
    make: (to: Destination) => Promise<Target>,
    onClose: (options: Closing) => Promise<void>,
  ) {
    this.published = published;
    this.#target = target;
    this.#listener = listener;
    this.#make = make;
    this.#onClose = onClose;
  }

  get target(): Target {
    return this.#target;
  }

  get descriptor(): number {
    return this.#listener.descriptor;
  }

  /** Of the listener, which others may share. */
  get acceptErrors(): number {
    return this.#listener.acceptErrors;
  }

  stats() {
    return { active: this.#target.active, ...this.#target.counts };
  }

  /** Requests under way go on with the enclave before. */
  async retarget(to: Destination): Promise<void> {
    const before = this.#target;
    this.#target = await this.#make(to);
    // It has been handed this port because it is
    this.#target.state = 'ready';
    this.#listener.routes.replace(before, this.#target);
    before.retire();
  }

  /** Its requests have a last call; the enclave may have ended, or this process is about to. */
  async close(options: Closing): Promise<void> {
    const { drainMs } = options;
    const target = this.#target;
    const ended = target.close(drainMs);
    const lastCall = sleep(Math.min(drainMs, this.#listener.limits.httpLastCallMs));
    await Promise.all([ended, lastCall, this.#onClose(options)]);
    // Of several routes that close together the last one closes the listener, which has its last calls for all of them
    if (this.#listener.isDraining) await this.#listener.close(options);
    this.#listener.routes.remove(target);
  }
}

function keyOf({ host, port }: PublishedPort): string {
  return `${host} ${port}`;
}
