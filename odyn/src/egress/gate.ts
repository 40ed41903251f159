import { authorityOf, type Destination, type Policy } from '@enclaver/egress-policy';
import { formatAddress } from '@enclaver/manifest';
import type { VsockTransport } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { DialError, type Dialled, dial } from './dial.ts';

export interface EgressCounts {
  /** Connections that were made. */
  opened: number;
  /** Refused by the policy. */
  refused: number;
  /** Look-ups of names that the policy does not let through to any port. */
  namesRefused: number;
  /** Allowed, but the parent could not reach them. */
  failed: number;
}

/** An answer to the app instead of a connection. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code = 'EGRESS_REFUSED';
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** Status and text that apps of the original know. */
const BLOCKED = [401, 'blocked by egress security policy'] as const;

/** Where every way out passes: policy, dial, and the policy again for the address that was reached. */
export class Gate {
  readonly counts: EgressCounts = { opened: 0, refused: 0, namesRefused: 0, failed: 0 };
  readonly #transport: VsockTransport;
  readonly #policy: Policy;
  readonly #log: OdynLog;
  /** Programs ask for the same name again and again. */
  readonly #refusedNames = new Set<string>();

  constructor(transport: VsockTransport, policy: Policy, log: OdynLog) {
    this.#transport = transport;
    this.#policy = policy;
    this.#log = log;
  }

  /** @throws Refusal 401 or 503 */
  async open(destination: Destination, signal: AbortSignal): Promise<Dialled> {
    const decision = this.#policy.decide(destination);
    if (!decision.allowed) throw this.#blocked(destination, decision.rule);
    const dialled = await this.#dial(destination, signal);
    const after = this.#policy.decideDialled(destination, dialled.address);
    if (!after.allowed) {
      dialled.stream.destroy();
      throw this.#blocked(destination, after.rule, formatAddress(dialled.address));
    }
    this.counts.opened++;
    return dialled;
  }

  async #dial(destination: Destination, signal: AbortSignal): Promise<Dialled> {
    try {
      return await dial(this.#transport, destination, signal);
    } catch (cause) {
      if (!(cause instanceof DialError)) throw cause;
      this.counts.failed++;
      this.#log.warn('egress failed', { destination: authorityOf(destination), reason: cause.message });
      throw new Refusal(503, `os_err: ${cause.errno}: ${cause.message}`, { cause });
    }
  }

  /** Why a name need not be looked up; undefined when it may. Logged when it is asked for the first time in a while. */
  refuseName(name: Destination): string | undefined {
    const { allowed, rule } = this.#policy.decideName(name);
    if (allowed) return undefined;
    this.counts.namesRefused++;
    if (!this.#refusedNames.has(name.host)) {
      if (this.#refusedNames.size >= limits.egressRefusedNames) this.#refusedNames.clear();
      this.#refusedNames.add(name.host);
      this.#log.warn('egress refused', { name: name.host, rule });
    }
    return `${BLOCKED[1]}: ${rule}`;
  }

  /** Counts and logs what was refused. */
  refuse(destination: Destination, rule: string, dialled?: string): void {
    this.counts.refused++;
    this.#log.warn('egress refused', { destination: authorityOf(destination), rule, dialled });
  }

  #blocked(destination: Destination, rule: string, dialled?: string): Refusal {
    this.refuse(destination, rule, dialled);
    return new Refusal(...BLOCKED);
  }
}
