import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyPair } from '../ingress/certificates/key-pair.ts';
import type { CertificateSource } from '../ingress/certificates/source.ts';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { describeError, OdynError } from '../odyn-error.ts';
import type { SealedValue } from '../store/sealed-value.ts';
import { AcmeError } from './acme-error.ts';
import { type Challenge, challengePair } from './challenge.ts';
import { type IssueOptions, issueCertificate } from './issue.ts';
import { type Issued, readIssued } from './issued.ts';
import { pauseAfter, renewAt } from './schedule.ts';
import { SharedState } from './shared-state.ts';
import type { AcmeState } from './state.ts';

type Lease = NonNullable<AcmeState['lease']>;

export interface KeeperOptions extends Omit<IssueOptions, 'show' | 'signal'> {
  /** State of this certificate, shared by all replicas, as the account is. */
  readonly state: SealedValue;
  readonly pace?: Partial<Pace>;
}

/** Times in milliseconds. */
export interface Pace {
  /** How long the first certificate may take. */
  readonly firstMs: number;
  /** Between two looks at the shared state. */
  readonly watchMs: number;
  /** For the other replicas to show a challenge, too. */
  readonly shareMs: number;
}

const PACE: Pace = { firstMs: limits.acmeFirstMs, watchMs: limits.acmeWatchMs, shareMs: limits.acmeShareMs };

/**
 * Keeps one certificate: takes the one that is stored, has it issued where there is none, and renews it. Of several replicas
 * one orders, which holds a lease in the shared state; the others show its challenges and take what it gets.
 */
export class AcmeKeeper implements CertificateSource {
  readonly challenges = new Map<string, KeyPair>();
  readonly #options: KeeperOptions;
  readonly #pace: Pace;
  readonly #shared: SharedState;
  readonly #me = randomUUID();
  readonly #closed = new AbortController();
  readonly #log: OdynLog;
  #current: Issued | undefined;
  #renewAt = 0;
  /** Issued, but not yet stored. */
  #unsaved: Issued | undefined;
  /** This replica's own count, for a store that forgets. */
  #failures: NonNullable<AcmeState['failures']> | undefined;
  /** What went wrong last, for the log and the final word. */
  #problem: string | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#pace = { ...PACE, ...options.pace };
    this.#log = options.log;
    this.#shared = new SharedState(options.state, options.log);
  }

  /** Throws OdynError ACME_FAILED when there is no certificate in time. */
  start(changed: (pair: KeyPair) => void): Promise<KeyPair> {
    const { domains } = this.#options;
    const { firstMs } = this.#pace;
    const first = Promise.withResolvers<KeyPair>();
    const timer = setTimeout(() => {
      const why = this.#problem ?? 'another replica orders one, or the authority is still at it';
      this.close();
      first.reject(
        new OdynError('ACME_FAILED', `no certificate for ${domains.join(', ')} after ${firstMs / 1000} s: ${why}`, {
          remedy: 'each name must lead to this port by TCP port 443: docs/acme.md',
        }),
      );
    }, firstMs);
    this.#closed.signal.addEventListener('abort', () => clearTimeout(timer));
    let give = (pair: KeyPair): void => {
      clearTimeout(timer);
      give = changed;
      first.resolve(pair);
    };
    void this.#keep((pair) => give(pair));
    return first.promise;
  }

  close(): void {
    this.#closed.abort();
    this.challenges.clear();
    this.#options.http.close();
  }

  async #keep(give: (pair: KeyPair) => void): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      const before = this.#current;
      let pause: number;
      try {
        pause = await this.#look();
      } catch (error) {
        if (signal.aborted) return;
        this.#say('error', 'certificate not kept', error);
        pause = limits.acmeFaultMs;
      }
      if (this.#current !== undefined && this.#current !== before && !signal.aborted) give(this.#current);
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  }

  /** One look at the shared state, and what follows from it. How long to wait until the next, in milliseconds. */
  async #look(): Promise<number> {
    const state = await this.#shared.read();
    if (this.#unsaved !== undefined) await this.#save(this.#unsaved, state);
    this.#take(state);
    const now = Date.now();
    const lease = this.#leaseOfAnother(state, now);
    this.#show(
      lease?.challenges.map(({ domain, digest }) => ({ domain, digest: Buffer.from(digest, 'base64') })) ?? [],
    );
    if (lease !== undefined || now < this.#renewAt) return this.#pace.watchMs;
    const failures = this.#worse(state.failures, now);
    if (failures !== undefined) {
      const nextMs = failures.until - now;
      if (this.#problem === undefined)
        this.#say('warn', 'certificate not ordered yet', `the last order failed: ${failures.text}`, { nextMs });
      return Math.min(nextMs, this.#pace.watchMs);
    }
    await this.#order(state);
    return this.#pace.watchMs;
  }

  /** A certificate that another replica or an earlier boot has got, if it is better than ours. */
  #take({ certificate }: AcmeState): void {
    if (certificate === undefined) return;
    const issued = readIssued(certificate.key, certificate.chain, this.#options.domains);
    if (typeof issued === 'string') {
      if (this.#current === undefined) this.#say('warn', 'the stored certificate is not taken', issued);
      return;
    }
    if (this.#current !== undefined && issued.notAfter <= this.#current.notAfter) return;
    this.#use(issued, 'certificate taken from the store');
  }

  #use(issued: Issued, message: string): void {
    this.#current = issued;
    this.#renewAt = renewAt(issued);
    this.#failures = undefined;
    this.#problem = undefined;
    const { notAfter } = issued;
    const renew = new Date(this.#renewAt).toISOString();
    this.#log.info(message, { domains: this.#options.domains.join(','), notAfter: notAfter.toISOString(), renew });
  }

  #leaseOfAnother({ lease }: AcmeState, now: number): Lease | undefined {
    if (lease === undefined || lease.holder === this.#me) return undefined;
    // Nobody holds one for longer, whatever a clock or an old state says
    return lease.until > now && lease.until <= now + limits.acmeLeaseMs + limits.acmeSkewMs ? lease : undefined;
  }

  #worse(stored: AcmeState['failures'], now: number): AcmeState['failures'] {
    const most = now + limits.acmeRetryAfterMostMs + limits.acmeSkewMs;
    return [this.#failures, stored].find((each) => each !== undefined && each.until > now && each.until <= most);
  }

  /** Lets validators see these, and no others. */
  #show(challenges: readonly Challenge[]): void {
    this.challenges.clear();
    for (const challenge of challenges) {
      if (this.#options.domains.includes(challenge.domain))
        this.challenges.set(challenge.domain, challengePair(challenge));
    }
  }

  async #order(state: AcmeState): Promise<void> {
    const lease = { holder: this.#me, until: Date.now() + limits.acmeLeaseMs, challenges: [] };
    const leased = { ...state, lease };
    if (!(await this.#shared.write(leased))) return;
    let issued: Issued;
    try {
      const show = (challenges: readonly Challenge[]) => this.#showAll(challenges, leased);
      issued = await issueCertificate({ ...this.#options, show, signal: this.#closed.signal });
    } catch (error) {
      this.#closed.signal.throwIfAborted();
      const count = (this.#failures?.count ?? state.failures?.count ?? 0) + 1;
      const pause = Math.round(pauseAfter(count, error));
      this.#say('error', 'certificate not issued', error, { nextMs: pause });
      const failures = { count, until: Date.now() + pause, text: this.#problem ?? '' };
      this.#failures = failures;
      // Whoever has taken over knows better
      await this.#shared.settle(leased, ({ certificate, lease: held }) =>
        held?.holder === this.#me ? { certificate, failures } : undefined,
      );
      return;
    } finally {
      this.#show([]);
    }
    this.#use(issued, 'certificate issued');
    await this.#save(issued, leased);
  }

  async #save(issued: Issued, state: AcmeState): Promise<void> {
    this.#unsaved = issued;
    await this.#shared.settle(state, () => ({ certificate: { key: issued.key, chain: issued.certificates } }));
    this.#unsaved = undefined;
  }

  /** Shows validators these, here and at the other replicas. */
  async #showAll(challenges: readonly Challenge[], leased: AcmeState & { lease: Lease }): Promise<void> {
    this.#show(challenges);
    const shown = challenges.map(({ domain, digest }) => ({ domain, digest: digest.toString('base64') }));
    if (!(await this.#shared.write({ ...leased, lease: { ...leased.lease, challenges: shown } }))) {
      throw new AcmeError('ACME_TIMEOUT', 'another replica has taken over the order');
    }
    await sleep(this.#pace.shareMs, undefined, { signal: this.#closed.signal });
  }

  /** Once for each problem: it comes again every few seconds. */
  #say(level: 'warn' | 'error', message: string, error: unknown, more: Record<string, number> = {}): void {
    const text = describeError(error);
    if (text === this.#problem) return;
    this.#problem = text;
    this.#log[level](message, { domains: this.#options.domains.join(','), error: text, ...more });
  }
}
