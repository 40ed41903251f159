import { readFile } from 'node:fs/promises';
import { authorityOf, type Decision, type Destination, Policy } from '@enclaver/egress-policy';
import { EgressPatternError, type IpAddress } from '@enclaver/manifest';
import * as z from 'zod';
import { ProxyError } from './proxy-error.ts';

/** Everything, special addresses too: who writes no `allow` only wants to deny something. */
const EVERYTHING = [
  ...['**', 'host', '0.0.0.0/0', '::/0'],
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255'],
  ...['::', '::1', 'fe80::/10', 'ff00::/8', 'fd00:ec2::/32'],
];

const fileSchema = z.strictObject({
  allow: z.array(z.string()).default(EVERYTHING),
  deny: z.array(z.string()).default([]),
});

/**
 * What the parent lets its enclaves reach, beside what their manifests let their apps reach. It is not measured and protects
 * the parent's network, not the enclave. The patterns are those of the manifest's `egress`.
 */
export class ParentPolicy {
  readonly #policy: Policy;

  constructor(rules: { allow?: string[] | undefined; deny?: string[] | undefined }) {
    this.#policy = new Policy(fileSchema.parse(rules));
  }

  /** A JSON file with `allow` and `deny`, either may be left out. Errors: `EGRESS_POLICY_INVALID`. */
  static async read(path: string): Promise<ParentPolicy> {
    try {
      return new ParentPolicy(JSON.parse(await readFile(path, 'utf8')));
    } catch (cause) {
      if (!(cause instanceof Error)) throw cause;
      const what = cause instanceof z.ZodError ? z.prettifyError(cause) : cause.message;
      const kind = cause instanceof EgressPatternError ? 'a pattern that cannot be read: ' : '';
      throw new ProxyError(
        'EGRESS_POLICY_INVALID',
        `the egress policy ${path} has ${kind || 'a fault: '}${what}`,
        'write {"allow": [...], "deny": [...]} with patterns as in the manifest: docs/egress.md',
        { cause },
      );
    }
  }

  /** Before a name is looked up. */
  decide(destination: Destination): Decision {
    return this.#policy.decide(destination);
  }

  /** Whether it may be dialled at this address, to which its name leads. */
  decideAddress(destination: Destination, address: IpAddress): Decision {
    return this.#policy.decideDialled(destination, address);
  }

  /** What the enclave is told. */
  static refusal(destination: Destination, { rule }: Decision): string {
    return `the parent's egress policy refuses ${authorityOf(destination)}: ${rule}`;
  }
}
