import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { KmsError } from './kms-error.ts';

export type KeyUsage = 'SIGN_VERIFY' | 'KEY_AGREEMENT';
export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion';

/** Key specs of KMS that the emulator has, with OpenSSL's name of the curve and what each signs with. */
export const KEY_SPECS = {
  ECC_NIST_P256: { curve: 'prime256v1', algorithm: 'ECDSA_SHA_256', hash: 'sha256' },
  ECC_NIST_P384: { curve: 'secp384r1', algorithm: 'ECDSA_SHA_384', hash: 'sha384' },
  ECC_NIST_P521: { curve: 'secp521r1', algorithm: 'ECDSA_SHA_512', hash: 'sha512' },
  ECC_SECG_P256K1: { curve: 'secp256k1', algorithm: 'ECDSA_SHA_256', hash: 'sha256' },
} as const;
export type KeySpec = keyof typeof KEY_SPECS;

export interface NewKey {
  /** Default us-east-1. */
  region?: string;
  /** Default ECC_NIST_P384. */
  spec?: KeySpec;
  /** Default SIGN_VERIFY. */
  usage?: KeyUsage;
  /** Default Enabled. */
  state?: KeyState;
  /** Actions that nobody is allowed with this key. */
  denied?: readonly string[];
}

export interface EmulatedKey extends Required<NewKey> {
  id: string;
  arn: string;
  created: Date;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/** The account number of AWS's documentation. */
export const ACCOUNT = '111122223333';

/** The keys of the emulator, by ARN. They live in memory and are made at random. */
export class KeyStore {
  readonly #keys = new Map<string, EmulatedKey>();

  create(options: NewKey = {}): EmulatedKey {
    const { region = 'us-east-1', spec = 'ECC_NIST_P384', usage = 'SIGN_VERIFY', state = 'Enabled' } = options;
    const { denied = [] } = options;
    const id = randomUUID();
    const arn = `arn:${partitionOf(region)}:kms:${region}:${ACCOUNT}:key/${id}`;
    const pair = generateKeyPairSync('ec', { namedCurve: KEY_SPECS[spec].curve });
    const key = { region, spec, usage, state, denied, id, arn, created: new Date(), ...pair };
    this.#keys.set(arn, key);
    return key;
  }

  /** By id or ARN, for an action: the key must be there, allowed and enabled. Throws as KMS does. */
  use(keyId: string, { action, region }: { action: string; region: string }): EmulatedKey {
    const arn = keyId.startsWith('arn:') ? keyId : `arn:${partitionOf(region)}:kms:${region}:${ACCOUNT}:key/${keyId}`;
    const key = this.#keys.get(arn);
    if (key === undefined || key.region !== region) {
      throw new KmsError('NotFoundException', `Key '${arn}' does not exist`);
    }
    if (key.denied.includes(action)) {
      throw new KmsError(
        'AccessDeniedException',
        `User: arn:${partitionOf(region)}:iam::${ACCOUNT}:user/emulated is not authorized to perform: kms:${action} ` +
          `on resource: ${arn} because no identity-based policy allows the kms:${action} action`,
      );
    }
    if (key.state === 'Disabled' && action !== 'DescribeKey') {
      throw new KmsError('DisabledException', `${arn} is disabled.`);
    }
    if (key.state === 'PendingDeletion' && action !== 'DescribeKey') {
      throw new KmsError('KMSInvalidStateException', `${arn} is pending deletion.`);
    }
    return key;
  }
}

function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
