import type { EnclaveRecord, PublishedPort } from '@enclaver/bus';
import type { Relay, VsockTransport } from '@enclaver/vsock';
import type { Logger } from 'pino';
import { freePort, type Ingress, listenError } from '../ingress.ts';
import { type Limits, limits } from '../limits.ts';
import type { HttpListener } from './http-listener.ts';
import type { Target, TargetState } from './target.ts';

/** The HTTP listeners of all enclaves, one for each address, shared by those that are published there. */
export class HttpPorts {
  readonly #relay: Relay;
  readonly #logger: Logger;
  readonly #limits: Limits;
  readonly #listeners = new Map<string, Promise<HttpListener>>();
  readonly #routes = new Set<HttpRouteIngress>();

  constructor(relay: Relay, logger: Logger, bounds: Limits = limits) {
    this.#limits = bounds;
    this.#relay = relay;
    this.#logger = logger;
  }

  /** Errors: `ROUTE_IN_USE` and those of `openIngress`; `held` as there. */
  async open(
    record: EnclaveRecord,
    transport: VsockTransport,
    asked: PublishedPort,
    held: boolean,
  ): Promise<HttpRouteIngress> {
    const { Target } = await import('./target.ts');
    const target = await Target.make(record, asked, transport, this.#limits);
    const listener = await this.#listener(asked, held);
    const published = { ...asked, port: listener.port };
    const route = new HttpRouteIngress(published, target, listener, async (drainMs) => {
      this.#routes.delete(route);
      if (!listener.routes.isEmpty) return;
      this.#listeners.delete(keyOf(published));
      await listener.close(drainMs);
    });
    try {
      listener.routes.add(asked.route ?? {}, target);
    } catch (error) {
      await route.route.close();
      throw error;
    }
    this.#routes.add(route);
    return route;
  }

  /** What the enclave's events say of it: an enclave that is not ready is asked nothing. */
  setState(id: string, state: TargetState): void {
    for (const { target } of this.#routes) if (target.id === id) target.state = state;
  }

  async #listener(asked: PublishedPort, held: boolean): Promise<HttpListener> {
    const open = this.#listeners.get(keyOf(asked));
    if (open !== undefined) return await open;
    const opening = this.#open(asked, held);
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

  async #open(asked: PublishedPort, held: boolean): Promise<HttpListener> {
    const port = held ? asked.port : await freePort(asked);
    const { HttpListener } = await import('./http-listener.ts');
    try {
      return await HttpListener.open(this.#relay, this.#logger, this.#limits, asked.host, port);
    } catch (cause) {
      throw listenError(asked, cause);
    }
  }
}

/** One route of one enclave, on a listener that others share. */
class HttpRouteIngress implements Ingress {
  readonly published: PublishedPort;
  readonly #listener: HttpListener;
  readonly #onClose: (drainMs: number) => Promise<void>;
  #target: Target;

  constructor(
    published: PublishedPort,
    target: Target,
    listener: HttpListener,
    onClose: (drainMs: number) => Promise<void>,
  ) {
    this.published = published;
    this.#target = target;
    this.#listener = listener;
    this.#onClose = onClose;
  }

  get target(): Target {
    return this.#target;
  }

  readonly route = {
    stats: () => ({ active: this.#target.active, ...this.#target.counts }),
    close: async ({ drainMs = 0 }: { drainMs?: number } = {}): Promise<void> => {
      this.#listener.routes.remove(this.#target);
      await Promise.all([this.#target.close(drainMs), this.#onClose(drainMs)]);
    },
  };
}

function keyOf({ host, port }: PublishedPort): string {
  return `${host} ${port}`;
}
