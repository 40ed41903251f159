import {
  type Cidr,
  type Clients,
  cidrContains,
  type IpAddress,
  parseCidr,
  unmapped,
  unmappedRange,
} from '@enclaver/manifest';

/** Whether a client may connect, and the rule that decided. */
export interface ClientDecision {
  readonly allowed: boolean;
  readonly rule: string;
}

interface Rule {
  readonly text: string;
  readonly cidr: Cidr;
}

/** `ingress[].clients`: deny beats allow; without `allow` everybody may come whom `deny` does not have. */
export class ClientRules {
  readonly #allow: readonly Rule[] | undefined;
  readonly #deny: readonly Rule[];

  constructor({ allow, deny }: Clients) {
    this.#allow = allow?.map(compile);
    this.#deny = deny.map(compile);
  }

  /** `address` is what the parent says; undefined when it knows of none, and then there is nothing to decide by. */
  decide(address: IpAddress | undefined): ClientDecision {
    if (address === undefined) return { allowed: false, rule: 'no address' };
    const own = unmapped(address);
    const deny = this.#deny.find(({ cidr }) => cidrContains(cidr, own));
    if (deny !== undefined) return { allowed: false, rule: `deny ${deny.text}` };
    if (this.#allow === undefined) return { allowed: true, rule: 'no deny rule' };
    const allow = this.#allow.find(({ cidr }) => cidrContains(cidr, own));
    return allow === undefined
      ? { allowed: false, rule: 'no allow rule' }
      : { allowed: true, rule: `allow ${allow.text}` };
  }
}

function compile(text: string): Rule {
  return { text, cidr: unmappedRange(parseCidr(text)) };
}
