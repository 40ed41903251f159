import { setTimeout as sleep } from 'node:timers/promises';
import type { PublishedPort } from '@enclaver/bus';
import type { Relay } from '@enclaver/vsock';
import type { Logger } from 'pino';
import { type Destination, freePort, type Ingress, listenError, type Opening } from '../ingress.ts';
import { type Limits, limits } from '../limits.ts';
import type { HttpListener } from './http-listener.ts';
import type { OnRequestEnd } from './http-metrics.ts';
import type { Target, TargetState } from './target.ts';

/** The HTTP listeners of all enclaves, one for each address, shared by those that are published there. */
export class HttpPorts {
  readonly #relay: Relay;
  readonly #logger: Logger;
  readonly #limits: Limits;
  readonly #onRequestEnd: OnRequestEnd;
  readonly #listeners = new Map<string, Promise<HttpListener>>();
  readonly #routes = new Set<HttpRouteIngress>();

  constructor(relay: Relay, logger: Logger, bounds: Limits = limits, onRequestEnd: OnRequestEnd = () => undefined) {
    this.#onRequestEnd = onRequestEnd;
    this.#limits = bounds;
    this.#relay = relay;
    this.#logger = logger;
  }

  /** Errors: `ROUTE_IN_USE` and those of `openIngress`. */
  async open(to: Destination, asked: PublishedPort, opening: Opening): Promise<HttpRouteIngress> {
    const { Target } = await import('./target.ts');
    const make = (enclave: Destination) => Target.make(enclave, asked, this.#limits, this.#onRequestEnd);
    const target = await make(to);
    const listener = await this.#listener(asked, opening);
    const published = { ...asked, port: listener.port };
    const route = new HttpRouteIngress(published, target, listener, make, async (drainMs) => {
      this.#routes.delete(route);
      if (listener.routes.isInUse) return;
      if (!listener.isDraining) this.#listeners.delete(keyOf(published));
      await listener.close(drainMs);
    });
    try {
      listener.routes.add(asked.route ?? {}, target);
    } catch (error) {
      await route.close({ drainMs: 0 });
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
      return await HttpListener.open(this.#relay, this.#logger, this.#limits, { host: asked.host, port, descriptor });
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
  /** Node's own listener tells of none. */
  readonly acceptErrors = 0;
  readonly #onClose: (drainMs: number) => Promise<void>;
  #target: Target;

  constructor(
    published: PublishedPort,
    target: Target,
    listener: HttpListener,
    make: (to: Destination) => Promise<Target>,
    onClose: (drainMs: number) => Promise<void>,
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

  get active(): number {
    return this.#target.active;
  }

  stats() {
    return { active: this.#target.active, ...this.#target.counts };
  }

  /** Requests under way go on with the enclave before. */
  async retarget(to: Destination): Promise<Target> {
    const before = this.#target;
    this.#target = await this.#make(to);
    // It has been handed this port because it is
    this.#target.state = 'ready';
    this.#listener.routes.replace(before, this.#target);
    before.retire();
    return before;
  }

  /** Its requests have a last call; the enclave may have ended, or this process is about to. */
  async close({ drainMs }: { drainMs: number }): Promise<void> {
    const target = this.#target;
    const ended = target.close(drainMs);
    const lastCall = sleep(Math.min(drainMs, this.#listener.limits.httpLastCallMs));
    await Promise.all([ended, lastCall, this.#onClose(drainMs)]);
    // Of several routes that close together the last one closes the listener, which has its last calls for all of them
    if (this.#listener.isDraining) await this.#listener.close(drainMs);
    this.#listener.routes.remove(target);
  }
}

function keyOf({ host, port }: PublishedPort): string {
  return `${host} ${port}`;
}
