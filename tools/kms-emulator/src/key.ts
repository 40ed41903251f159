import type { KeyObject } from 'node:crypto';
import { KmsError } from './kms-error.ts';
import type { KeyPolicy } from './policy/policy-document.ts';

/** Specs of asymmetric keys that the emulator has, with OpenSSL's name of the curve and what each signs with. */
export const KEY_SPECS = {
  ECC_NIST_P256: { curve: 'prime256v1', algorithm: 'ECDSA_SHA_256', hash: 'sha256' },
  ECC_NIST_P384: { curve: 'secp384r1', algorithm: 'ECDSA_SHA_384', hash: 'sha384' },
  ECC_NIST_P521: { curve: 'secp521r1', algorithm: 'ECDSA_SHA_512', hash: 'sha512' },
  ECC_SECG_P256K1: { curve: 'secp256k1', algorithm: 'ECDSA_SHA_256', hash: 'sha256' },
} as const;
export type KeySpec = keyof typeof KEY_SPECS;

/** The one encryption algorithm that the emulator has, and the spec of the keys for it. */
export const SYMMETRIC = 'SYMMETRIC_DEFAULT';

export type KeyUsage = 'SIGN_VERIFY' | 'KEY_AGREEMENT';
export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion';

interface KeyBase {
  id: string;
  arn: string;
  region: string;
  /** `alias/<name>`. */
  alias: string | undefined;
  state: KeyState;
  created: Date;
  policy: KeyPolicy;
}

export interface EcKey extends KeyBase {
  spec: KeySpec;
  usage: KeyUsage;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

export interface SymmetricKey extends KeyBase {
  spec: typeof SYMMETRIC;
  usage: 'ENCRYPT_DECRYPT';
  /** An AES-256 key. */
  material: KeyObject;
}

export type EmulatedKey = EcKey | SymmetricKey;

/** The key, if it is one for this usage. Throws InvalidKeyUsageException. */
export function usableFor(key: EmulatedKey, usage: SymmetricKey['usage'], action: string): SymmetricKey;
export function usableFor(key: EmulatedKey, usage: KeyUsage, action: string): EcKey;
export function usableFor(key: EmulatedKey, usage: EmulatedKey['usage'], action: string): EmulatedKey {
  if (key.usage === usage) return key;
  throw new KmsError(
    'InvalidKeyUsageException',
    `${key.arn} key usage is ${key.usage} which is not valid for ${action}.`,
  );
}
