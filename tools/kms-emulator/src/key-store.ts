import { createSecretKey, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import {
  type EcKey,
  type EmulatedKey,
  KEY_SPECS,
  type KeySpec,
  type KeyState,
  type KeyUsage,
  SYMMETRIC,
  type SymmetricKey,
} from './key.ts';
import { KmsError } from './kms-error.ts';
import { limits } from './limits.ts';
import { type ConditionSources, conditionKeys } from './policy/condition-keys.ts';
import { evaluate } from './policy/evaluate.ts';
import { defaultPolicy, parseKeyPolicy } from './policy/policy-document.ts';

interface NewAnyKey {
  /** A UUID. Default: a new one. */
  id?: string | undefined;
  /** `alias/<name>`. Default: none. */
  alias?: string | undefined;
  /** Default us-east-1. */
  region?: string | undefined;
  /** Default Enabled. */
  state?: KeyState | undefined;
  /** Key policy, as JSON text or what that stands for. Default: that of KMS, which allows the account everything. */
  policy?: unknown;
}

export interface NewKey extends NewAnyKey {
  /** Default ECC_NIST_P384. */
  spec?: KeySpec | undefined;
  /** Default SIGN_VERIFY. */
  usage?: KeyUsage | undefined;
  /** Actions that nobody is allowed with this key, whatever its policy says. */
  denied?: readonly string[];
}

export interface NewSymmetricKey extends NewAnyKey {
  /** An AES-256 key: 32 bytes. Default: a new one. With it and the id, ciphertexts outlive the emulator. */
  material?: Uint8Array | undefined;
}

/** Who asks, and for what of a key. */
export interface KeyUse extends ConditionSources {
  /** Such as `Decrypt`. */
  action: string;
  caller: Caller;
}

export interface Caller {
  /** ARN. */
  principal: string;
  /** Of the request's credential scope. */
  region: string;
}

/** The account number of AWS's documentation. */
export const ACCOUNT = '111122223333';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The keys of the emulator, by ARN. They live in memory. */
export class KeyStore {
  readonly #keys = new Map<string, EmulatedKey>();
  readonly #aliases = new Map<string, string>();

  /** A pair that signs or agrees on secrets. Throws KmsError for a policy that is not understood, RangeError for an id that is no UUID. */
  create({ spec = 'ECC_NIST_P384', usage = 'SIGN_VERIFY', denied = [], ...options }: NewKey = {}): EcKey {
    const pair = generateKeyPairSync('ec', { namedCurve: KEY_SPECS[spec].curve });
    const base = baseOf(options);
    if (denied.length > 0) {
      const Action = denied.map((action) => `kms:${action}`);
      const deny = { Effect: 'Deny' as const, Principal: { AWS: ['*'] }, Action, Resource: ['*'], Condition: {} };
      base.policy = { ...base.policy, Statement: [...base.policy.Statement, deny] };
    }
    return this.#add({ ...base, spec, usage, ...pair });
  }

  /** A key that encrypts. Throws KmsError for a policy that is not understood, RangeError for another id or material. */
  createSymmetric({ material = randomBytes(32), ...options }: NewSymmetricKey = {}): SymmetricKey {
    if (material.length !== 32) throw new RangeError(`an AES-256 key has 32 bytes, not ${material.length}`);
    const key = { spec: SYMMETRIC, usage: 'ENCRYPT_DECRYPT', material: createSecretKey(material) } as const;
    return this.#add({ ...baseOf(options), ...key });
  }

  /** In the order in which they were made. */
  all(): EmulatedKey[] {
    return [...this.#keys.values()];
  }

  /** By id, ARN or alias, if the region has it. */
  find(keyId: string, region: string): EmulatedKey | undefined {
    const arn = arnOf(keyId, region);
    const key = this.#keys.get(this.#aliases.get(arn) ?? arn);
    return key?.region === region ? key : undefined;
  }

  /** The key for an action: it must be there, allowed by its policy, and enabled. Throws as KMS does. */
  use(keyId: string, use: KeyUse): EmulatedKey {
    const key = this.find(keyId, use.caller.region);
    if (key === undefined) {
      const arn = arnOf(keyId, use.caller.region);
      const found = arn.includes(':alias/') ? `Alias ${arn} is not found.` : `Key '${arn}' does not exist`;
      throw new KmsError('NotFoundException', found);
    }
    authorize(key, use);
    if (key.state === 'Disabled' && use.action !== 'DescribeKey') {
      throw new KmsError('DisabledException', `${key.arn} is disabled.`);
    }
    if (key.state === 'PendingDeletion' && use.action !== 'DescribeKey') {
      throw new KmsError('KMSInvalidStateException', `${key.arn} is pending deletion.`);
    }
    return key;
  }

  #add<Key extends EmulatedKey>(key: Key): Key {
    if (this.#keys.size >= limits.keys) throw new KmsError('LimitExceededException', `There are ${limits.keys} keys.`);
    if (this.#keys.has(key.arn)) throw new KmsError('AlreadyExistsException', `${key.arn} already exists`);
    if (key.alias !== undefined) {
      const alias = arnOf(key.alias, key.region);
      if (this.#aliases.has(alias))
        throw new KmsError('AlreadyExistsException', `An alias with the name ${alias} already exists`);
      this.#aliases.set(alias, key.arn);
    }
    this.#keys.set(key.arn, key);
    return key;
  }
}

/** Throws AccessDeniedException in the words of AWS. */
function authorize(key: EmulatedKey, { action, caller, ...sources }: KeyUse): void {
  const name = `kms:${action}`;
  const decision = evaluate(key.policy, {
    principal: caller.principal,
    action: name,
    resource: key.arn,
    context: conditionKeys(sources),
  });
  if (decision === 'allowed') return;
  const why =
    decision === 'denied'
      ? `because no resource-based policy allows the ${name} action`
      : 'with an explicit deny in a resource-based policy';
  throw new KmsError(
    'AccessDeniedException',
    `User: ${caller.principal} is not authorized to perform: ${name} on resource: ${key.arn} ${why}`,
  );
}

/** Of a key or an alias, from any of the forms of `KeyId`. */
function arnOf(keyId: string, region: string): string {
  if (keyId.startsWith('arn:')) return keyId;
  const resource = keyId.startsWith('alias/') ? keyId : `key/${keyId}`;
  return `arn:${partitionOf(region)}:kms:${region}:${ACCOUNT}:${resource}`;
}

function baseOf({ id = randomUUID(), alias, region = 'us-east-1', state = 'Enabled', policy }: NewAnyKey) {
  if (!UUID.test(id)) throw new RangeError(`the id of a key is a UUID in lower case, not ${JSON.stringify(id)}`);
  return {
    id,
    arn: arnOf(id, region),
    alias,
    region,
    state,
    created: new Date(),
    policy:
      policy === undefined ? defaultPolicy(`arn:${partitionOf(region)}:iam::${ACCOUNT}:root`) : parseKeyPolicy(policy),
  };
}

export function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
