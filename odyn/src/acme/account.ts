import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { OdynLog } from '../logs/odyn-log.ts';
import type { SealedValue } from '../store/sealed-value.ts';
import { StoreError } from '../store/store-error.ts';

/** Other writers that may come first: replicas that start at the same moment. */
const TRIES = 5;

/**
 * Key of the account that all replicas share, made where there is none.
 * @throws StoreError STORE_UNAVAILABLE, and what KMS's client throws
 */
export async function accountKey(stored: SealedValue, log: OdynLog): Promise<KeyObject> {
  for (let left = TRIES; left > 0; left--) {
    const found = await readKey(stored, log);
    if (found !== undefined) return found;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    if (await stored.write(Buffer.from(pem))) return privateKey;
  }
  throw new StoreError('STORE_UNAVAILABLE', 'the store outside takes no key of an ACME account');
}

async function readKey(stored: SealedValue, log: OdynLog): Promise<KeyObject | undefined> {
  try {
    const bytes = await stored.read();
    return bytes === undefined ? undefined : createPrivateKey(bytes);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'STORE_UNAVAILABLE') throw error;
    log.warn('the stored ACME account cannot be used: another takes its place', { error: error.message });
    return undefined;
  }
}
