import { generateKeyPairSync } from 'node:crypto';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import type { SealedValue } from '../store/sealed-value.ts';
import { accountKey } from './account.ts';
import { AcmeError } from './acme-error.ts';
import type { Challenge } from './challenge.ts';
import { type Issued, readIssued } from './issued.ts';
import { orderCertificate } from './order.ts';
import { AcmeSession, type HttpClient } from './session.ts';

export interface IssueOptions {
  readonly domains: readonly string[];
  readonly directory: string;
  readonly contact: readonly string[];
  readonly http: HttpClient;
  /** Key of the account. */
  readonly account: SealedValue;
  readonly log: OdynLog;
  /** Settles when validators can be shown these, wherever they come in. */
  show(challenges: readonly Challenge[]): Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * A new key with a certificate that fits it.
 * @throws AcmeError, what `accountKey` and `show` throw, and what aborting throws
 */
export async function issueCertificate(options: IssueOptions): Promise<Issued> {
  const { domains, directory, contact, http, account, log, show } = options;
  const session = await AcmeSession.open(http, directory, await accountKey(account, log));
  const accountUrl = await session.account(contact);
  log.info('certificate ordered', { domains: domains.join(','), account: accountUrl });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const inTime = AbortSignal.timeout(limits.acmeOrderMs);
  const signal = AbortSignal.any([options.signal, inTime]);
  let chain: string;
  try {
    chain = await orderCertificate(session, { domains, key: privateKey, show, signal });
  } catch (cause) {
    if (!inTime.aborted) throw cause;
    const message = `the order did not come to an end in ${limits.acmeOrderMs / 1000} s`;
    throw new AcmeError('ACME_TIMEOUT', message, { cause });
  }
  const issued = readIssued(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), chain, domains);
  if (typeof issued !== 'string') return issued;
  throw new AcmeError('ACME_ANSWER', `the certificate that the authority gave does not fit: ${issued}`);
}
