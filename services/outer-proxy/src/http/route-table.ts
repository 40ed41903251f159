import type { HttpRoute } from '@enclaver/bus';
import { ProxyError } from '../proxy-error.ts';
import { RequestError } from './request-error.ts';
import type { Target } from './target.ts';

interface Entry {
  /** Undefined is any. */
  readonly host: string | undefined;
  /** Without a slash at its end: '' is any. */
  readonly path: string;
  /** Enclaves of one image share a route. */
  readonly targets: Target[];
}

/** Who gets which requests of one listener: the most specific host first, then the longest path. */
export class RouteTable {
  readonly #entries: Entry[] = [];

  /** An enclave is there that is to stay. */
  get isInUse(): boolean {
    return this.#entries.some(({ targets }) => targets.some(({ isClosing }) => !isClosing));
  }

  /**
   * Adds an enclave to a route. An earlier enclave of the same name leaves it: it has ended, or is about to.
   * @throws ProxyError ROUTE_IN_USE
   */
  add({ host, path = '' }: HttpRoute, target: Target): void {
    const prefix = path.replace(/\/$/, '');
    const found = this.#entries.find((entry) => entry.host === host && entry.path === prefix);
    if (found === undefined) {
      this.#entries.push({ host, path: prefix, targets: [target] });
      this.#entries.sort(bySpecificity);
      return;
    }
    const other = found.targets.find(
      (each) => !each.isClosing && (each.id === target.id || !(each.succeededBy(target) || each.twinOf(target))),
    );
    if (other !== undefined) throw inUse(host, prefix, other);
    const stays = found.targets.filter((each) => !each.succeededBy(target));
    found.targets.splice(0, found.targets.length, ...stays, target);
  }

  /** Whether the enclave has its equal part of so many requests under way here. */
  hasItsPart({ id }: Target, all: number): boolean {
    const targets = new Set(this.#entries.flatMap((entry) => entry.targets));
    const own = [...targets].filter((each) => each.id === id);
    const enclaves = new Set([...targets].map((each) => each.id));
    return own.reduce((sum, { active }) => sum + active, 0) >= all / enclaves.size;
  }

  /** Puts another target in the place of one, in each of its routes. */
  replace(old: Target, target: Target): void {
    for (const { targets } of this.#entries) {
      const index = targets.indexOf(old);
      if (index >= 0) targets[index] = target;
    }
  }

  remove(target: Target): void {
    for (const { targets } of this.#entries) {
      const index = targets.indexOf(target);
      if (index >= 0) targets.splice(index, 1);
    }
    const left = this.#entries.filter(({ targets }) => targets.length > 0);
    this.#entries.splice(0, this.#entries.length, ...left);
  }

  /** `target` is a path with its query, or `*`. @throws RequestError HOST_UNKNOWN, NO_ROUTE */
  find(host: string, target: string): Target {
    const path = target.split('?', 1)[0] ?? '';
    let isKnown = false;
    for (const entry of this.#entries) {
      if (!hasHost(entry, host)) continue;
      isKnown = true;
      if (entry.path === '' || path === entry.path || path.startsWith(`${entry.path}/`))
        return leastBusy(entry.targets);
    }
    if (isKnown) throw new RequestError(404, 'NO_ROUTE', 'no enclave is published for this path');
    throw new RequestError(421, 'HOST_UNKNOWN', 'no enclave is published for this host');
  }
}

function hasHost({ host }: Entry, asked: string): boolean {
  if (host === undefined || host === asked) return true;
  return host.startsWith('*.') && asked.length >= host.length && asked.endsWith(host.slice(1));
}

function bySpecificity(a: Entry, b: Entry): number {
  return weight(b.host) - weight(a.host) || b.path.length - a.path.length;
}

/** Names before wildcards, longer wildcards before shorter ones, any host last. */
function weight(host: string | undefined): number {
  if (host === undefined) return 0;
  return host.startsWith('*.') ? host.length : 1_000;
}

/** Of those that are ready, or of all where none is: the one with the fewest requests, or that was asked longest ago. */
function leastBusy(targets: readonly Target[]): Target {
  const staying = targets.filter(({ isClosing }) => !isClosing);
  const left = staying.length > 0 ? staying : targets;
  const ready = left.filter(({ state }) => state === 'ready');
  const [first, ...others] = ready.length > 0 ? ready : left;
  return others.reduce((best, each) => (each.isBefore(best) ? each : best), first as Target);
}

function inUse(host: string | undefined, path: string, { name, id }: Target): ProxyError {
  const route = `${host === undefined ? 'any host' : `host ${host}`}, path ${path === '' ? '/' : path}`;
  return new ProxyError(
    'ROUTE_IN_USE',
    `${route} is the route of enclave ${name} (${id}) already; only enclaves of one image and port share a route`,
    'publish it under another host=, path= or port, or stop the other one',
  );
}
