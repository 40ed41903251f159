import { createHmac } from 'node:crypto';
import { lookup } from 'node:dns';
import { Agent, request as requestHttp } from 'node:http';
import { request as requestHttps, Agent as TlsAgent } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { StoredEvent } from '@enclaver/bus';
import type { Target } from './config.ts';
import { type Limits, limits } from './limits.ts';
import { isPrivate } from './private-address.ts';

/** The address of a target may not be called. */
export class PrivateTarget extends Error {
  override readonly name = 'PrivateTarget';
  readonly code = 'WEBHOOK_PRIVATE';
}

/** Posts events to one target: a CloudEvent in structured mode (HTTP binding 1.0.2), signed as standardwebhooks.com says. */
export class TargetClient {
  readonly #target: Target;
  readonly #url: URL;
  readonly #agent: Agent;
  readonly #limits: Limits;

  constructor(target: Target, bounds: Limits = limits) {
    this.#target = target;
    this.#url = new URL(target.url);
    this.#limits = bounds;
    const options = {
      keepAlive: true,
      maxSockets: bounds.concurrency,
      lookup: target.allowPrivate ? lookup : publicOnly,
    };
    this.#agent = this.#url.protocol === 'https:' ? new TlsAgent({ ...options, ca: target.ca }) : new Agent(options);
  }

  /** Resolves with the status of the answer; a redirection is an answer like any other. Rejects when there is none. */
  post(event: StoredEvent, signal: AbortSignal): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    // An address in the URL is looked up by nobody
    const host = this.#url.hostname.replace(/^\[|\]$/g, '');
    if (!this.#target.allowPrivate && isIP(host) !== 0 && isPrivate(host)) return Promise.reject(privateTarget(host));
    const send = this.#url.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(this.#url, {
      method: 'POST',
      agent: this.#agent,
      headers: { ...signed(event, this.#target.secret), 'content-length': event.payload.length },
      signal: AbortSignal.any([signal, AbortSignal.timeout(this.#limits.requestMs)]),
    });
    request.on('error', reject);
    request.on('response', (answer) => {
      resolve(answer.statusCode ?? 0);
      // A body of any length is nothing to us: the connection is kept for a short one
      answer.on('error', () => undefined).resume();
    });
    request.end(event.payload);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** `webhook-id` is the same for each try. The signature is over `<id>.<timestamp>.<body>`. */
function signed({ id, payload }: StoredEvent, secret: Buffer): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(payload).digest('base64');
  return {
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'user-agent': 'enclaver-webhooks',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${mac}`,
  };
}

function privateTarget(host: string): PrivateTarget {
  return new PrivateTarget(`${host} is of this host or a private network, and the target has no "allowPrivate": true`);
}

/** Looks a name up, and gives no private address: checked at each connection, since names change. */
const publicOnly: LookupFunction = (name, options, callback) => {
  lookup(name, { ...options, all: true }, (error, found) => {
    const open = error === null ? found.filter(({ address }) => !isPrivate(address)) : [];
    const [first] = open;
    if (error !== null) callback(error, []);
    else if (first === undefined) callback(privateTarget(name), []);
    else if (options.all === true) callback(null, open);
    else callback(null, first.address, first.family);
  });
};
