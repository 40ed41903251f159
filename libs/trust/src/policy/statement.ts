import { TrustError } from '../errors.ts';
import { parseRoleArn } from '../identity.ts';
import { entriesOf, NAMING_RULE, nameImage, type Pcrs, type Register, ZERO_PCR } from '../registers.ts';
import { ATTESTING_ACTIONS, type AttestingAction } from './actions.ts';

/** Sids of our statements begin with it: by this a merge finds what it may replace. */
export const SID_PREFIX = 'EnclaverAttested';

export interface KmsStatementOptions {
  /** ARN of the role whose credentials the enclave uses. */
  principal: string;
  /** ARN of the parent instance's role, where PCR3 is among the measurements: must be of the same partition. */
  roleArn?: string | undefined;
  pcrs: Pcrs;
  /** Default: every register that has a value. */
  registers?: readonly Register[] | undefined;
  /** Default: all five that take an attestation document. */
  actions?: readonly AttestingAction[] | undefined;
  /** Letters and digits that tell several of our statements in one policy apart, such as two images during a roll-out. */
  label?: string | undefined;
}

/** Members stand in the order in which AWS writes them. */
export interface KmsStatement {
  Sid: string;
  Effect: 'Allow';
  Principal: { AWS: string };
  Action: AttestingAction[];
  Resource: '*';
  Condition: { StringEqualsIgnoreCase: Record<string, string> };
}

/**
 * The statement of a key policy that lets a role use the key from within this enclave only. It compares PCR0 by the key `PCR0`
 * and not by `ImageSha384`: both are the same value, and one spelling for all registers leaves no second one to forget.
 *
 * Throws ROLE_ARN_INVALID; KMS_STATEMENT_INVALID (another partition, label); REGISTERS_INVALID when the chosen registers have no
 * value or do not name an image; MEASUREMENTS_ZERO for the zeros of debug mode, which would let every debug enclave in.
 */
export function kmsStatement(options: KmsStatementOptions): KmsStatement {
  const { principal, roleArn, pcrs, label = '', actions = ATTESTING_ACTIONS } = options;
  const { arn, partition } = parseRoleArn(principal);
  if (roleArn !== undefined && parseRoleArn(roleArn).partition !== partition) {
    throw new TrustError(
      'KMS_STATEMENT_INVALID',
      `the principal ${principal} and the role ${roleArn} are of different partitions`,
      'name roles of the partition that the key is in',
    );
  }
  if (!/^[A-Za-z0-9]{0,48}$/.test(label)) {
    throw new TrustError(
      'KMS_STATEMENT_INVALID',
      `the label ${JSON.stringify(label)} is not allowed in a Sid; allowed are up to 48 letters and digits`,
      'give one such as Next',
    );
  }
  const conditions = chosen(pcrs, options.registers).map(([register, value]): [string, string] => {
    if (value === ZERO_PCR) {
      throw new TrustError(
        'MEASUREMENTS_ZERO',
        `${register} is all zeros, as in every enclave in debug mode; a policy with it would let all of them in`,
        'measure the image itself, and run it without debug mode',
      );
    }
    return [`kms:RecipientAttestation:${register}`, value];
  });
  return {
    Sid: `${SID_PREFIX}${label}`,
    Effect: 'Allow',
    Principal: { AWS: arn },
    Action: ATTESTING_ACTIONS.filter((action) => actions.includes(action)),
    Resource: '*',
    Condition: { StringEqualsIgnoreCase: Object.fromEntries(conditions) },
  };
}

function chosen(pcrs: Pcrs, registers: readonly Register[] | undefined): [Register, string][] {
  const all = entriesOf(pcrs);
  const entries = registers === undefined ? all : all.filter(([register]) => registers.includes(register));
  const missing = registers?.find((register) => pcrs[register] === undefined);
  if (missing !== undefined) throw new TrustError('REGISTERS_INVALID', `${missing} has no value`, howToGet(missing));
  if (!nameImage(entries.map(([register]) => register))) {
    throw new TrustError(
      'REGISTERS_INVALID',
      `${registers?.join(', ') || 'no register'} does not say which code runs; ${NAMING_RULE} is needed`,
      'add one of them: PCR1 and PCR2 for one app on one release, PCR8 for all that one certificate has signed',
    );
  }
  return entries;
}

function howToGet(register: Register): string {
  if (register === 'PCR8') return 'sign the image (docs/signing.md), or leave PCR8 out';
  if (register === 'PCR3') return 'give the role of the parent instance with --role-arn, or leave PCR3 out';
  if (register === 'PCR4') return 'give the parent instance with --instance-id, or leave PCR4 out';
  return 'measure an image';
}
