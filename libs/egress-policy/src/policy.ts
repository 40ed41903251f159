import {
  type Cidr,
  cidrContains,
  type EgressPattern,
  type IpAddress,
  parseEgressPattern,
  rangeWithin,
  unmapped,
  unmappedRange,
} from '@enclaver/manifest';
import { isPrivate, reachedBy, sameAddress, specialRange } from './addresses.ts';
import type { Destination } from './destination.ts';

/** What the policy says, and the rule that decided: one of the manifest's, or words for one that is built in. */
export interface Decision {
  readonly allowed: boolean;
  readonly rule: string;
}

interface Rule {
  readonly text: string;
  readonly pattern: EgressPattern;
}

/**
 * `egress.allow` and `egress.deny`: a destination is open when a rule of `allow` fits and none of `deny` does. Domain
 * rules are for names, ranges for addresses. Four things are stricter than in the original, which looks at the name
 * only (fault D8): the keyword `host` is opened by the rule `host` alone; special addresses (loopback, link-local,
 * multicast, unspecified) are opened only by a range that lies within the special one; the address that a name led to is
 * checked, too; and to a private address leads only a name of a domain that a rule names, since whoever owns any other
 * domain could have it lead there.
 */
export class Policy {
  readonly #allow: readonly Rule[];
  readonly #deny: readonly Rule[];

  /** @throws EgressPatternError */
  constructor({ allow, deny }: { readonly allow: readonly string[]; readonly deny: readonly string[] }) {
    this.#allow = allow.map(compile);
    this.#deny = deny.map(compile);
  }

  /** Before the connection is made. */
  decide(destination: Destination): Decision {
    const deny = this.#deny.find((rule) => fits(rule, destination) || closesHost(rule, destination));
    if (deny !== undefined) return { allowed: false, rule: `deny ${deny.text}` };
    if (destination.kind === 'ip') return this.#decideAddress(destination.address, destination.port);
    const allow = this.#allow.find((rule) => fits(rule, destination));
    if (allow === undefined) return { allowed: false, rule: 'no allow rule' };
    return { allowed: true, rule: `allow ${allow.text}` };
  }

  /** Whether the name could be let through, to whatever port. */
  decideName(destination: Destination): Decision {
    const deny = this.#deny.find(
      (rule) => rule.pattern.ports === undefined && (fits(rule, destination) || closesHost(rule, destination)),
    );
    if (deny !== undefined) return { allowed: false, rule: `deny ${deny.text}` };
    const allow = this.#allow.find((rule) => fitsAnyPort(rule, destination));
    if (allow === undefined) return { allowed: false, rule: 'no allow rule' };
    return { allowed: true, rule: `allow ${allow.text}` };
  }

  /**
   * Once the parent has said which address it has dialled, for a destination that `decide` allowed. The parent can lie;
   * this is against names that lead elsewhere than they should.
   */
  decideDialled(destination: Destination, dialled: IpAddress): Decision {
    if (destination.kind === 'host') return { allowed: true, rule: 'allow host' };
    const { port } = destination;
    if (destination.kind === 'ip') {
      return sameAddress(destination.address, unmapped(dialled))
        ? { allowed: true, rule: 'the address asked for' }
        : { allowed: false, rule: 'another address than the one asked for' };
    }
    const denied =
      this.#denied(dialled, port) ?? this.#special(dialled, port) ?? this.#private(destination, dialled, port);
    return denied ?? { allowed: true, rule: 'no rule against the address' };
  }

  #decideAddress(address: IpAddress, port: number): Decision {
    const denied = this.#denied(address, port);
    if (denied !== undefined) return denied;
    const allow = this.#allow.find((rule) => coversAddress(rule, unmapped(address), port));
    if (allow === undefined) return { allowed: false, rule: 'no allow rule' };
    return this.#special(address, port) ?? { allowed: true, rule: `allow ${allow.text}` };
  }

  #private(destination: Destination, dialled: IpAddress, port: number): Decision | undefined {
    const named = this.#allow.some((rule) => namesDomain(rule) && fits(rule, destination));
    const closed = reachedBy(dialled).find(
      (one) => isPrivate(one) && !named && !this.#allow.some((rule) => coversAddress(rule, one, port)),
    );
    return closed && { allowed: false, rule: 'private addresses are closed to a name whose domain no rule names' };
  }

  #denied(address: IpAddress, port: number): Decision | undefined {
    const reached = reachedBy(address);
    const deny = this.#deny.find((rule) => reached.some((one) => coversAddress(rule, one, port)));
    return deny && { allowed: false, rule: `deny ${deny.text}` };
  }

  #special(address: IpAddress, port: number): Decision | undefined {
    for (const one of reachedBy(address)) {
      const special = specialRange(one);
      if (special === undefined) continue;
      const meant = this.#allow.some(
        (rule) =>
          rule.pattern.kind === 'ip' && rangeWithin(rule.pattern.cidr, special.cidr) && coversAddress(rule, one, port),
      );
      if (!meant) return { allowed: false, rule: `${special.name} addresses are closed unless a rule names them` };
    }
    return undefined;
  }
}

function compile(text: string): Rule {
  const pattern = parseEgressPattern(text);
  return { text, pattern: pattern.kind === 'ip' ? { ...pattern, cidr: unmappedRange(pattern.cidr) } : pattern };
}

function fits(rule: Rule, destination: Destination): boolean {
  return coversPort(rule.pattern, destination.port) && fitsAnyPort(rule, destination);
}

function fitsAnyPort({ pattern }: Rule, destination: Destination): boolean {
  if (destination.kind === 'domain')
    return pattern.kind === 'domain' && matchLabels(pattern.labels, destination.labels);
  if (destination.kind === 'host') return pattern.kind === 'host';
  return pattern.kind === 'ip' && reachedBy(destination.address).some((one) => cidrContains(pattern.cidr, one));
}

/** A whole name, or wildcards below a domain of two labels: everybody may have a name below fewer, as in `**.com`. */
function namesDomain({ pattern }: Rule): boolean {
  return pattern.kind === 'domain' && pattern.labels.slice(-2).every((label) => !label.includes('*'));
}

/** `deny: ["**"]` closes all that has a name, the keyword included, although `allow: ["**"]` does not open it. */
function closesHost({ pattern }: Rule, destination: Destination): boolean {
  if (destination.kind !== 'host' || pattern.kind !== 'domain') return false;
  return coversPort(pattern, destination.port) && matchLabels(pattern.labels, ['host']);
}

function coversAddress({ pattern }: Rule, address: IpAddress, port: number): boolean {
  return pattern.kind === 'ip' && coversPort(pattern, port) && cidrContains(pattern.cidr satisfies Cidr, address);
}

function coversPort({ ports }: EgressPattern, port: number): boolean {
  return ports === undefined || (ports.from <= port && port <= ports.to);
}

/**
 * `*` is one label, `**` one or more. Reachable positions in `pattern` are carried along the labels, so that the time
 * is bounded by the product of both lengths, whatever the pattern.
 */
function matchLabels(pattern: readonly string[], labels: readonly string[]): boolean {
  let at = new Set([0]);
  for (const label of labels) {
    const next = new Set<number>();
    for (const position of at) {
      const wanted = pattern[position];
      if (wanted === undefined) continue;
      if (wanted === '*' || wanted === '**' || wanted === label) next.add(position + 1);
      if (wanted === '**') next.add(position);
    }
    at = next;
  }
  return at.has(pattern.length);
}
