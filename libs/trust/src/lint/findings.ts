export type Severity = 'error' | 'warning' | 'note';

/** A kind of mistake: what makes it one and what to do about it. */
export interface FindingKind {
  severity: Severity;
  why: string;
  remedy: string;
}

const USE_EQUALS = 'use StringEqualsIgnoreCase';
const TWO_STATEMENTS = 'write one statement for each image: enclaver trust --kms --merge POLICY --label Next';

/** Every finding of the linter, by its stable id. docs/trust.md has the same table. */
export const findingKinds = {
  'pcr0-only': {
    severity: 'warning',
    why: 'one register carries all of the decision; who reads the policy cannot tell release, app and signer apart',
    remedy: 'add PCR1 and PCR2, PCR8 of a signed image, and PCR3 of the role',
  },
  'image-not-named': {
    severity: 'error',
    why: 'the compared registers do not say which code runs',
    remedy: 'compare PCR0, or PCR1 and PCR2, or PCR8',
  },
  'zero-measurement': {
    severity: 'error',
    why: 'zeros are what every enclave in debug mode has (PCR0, 1, 2, 8), and its console can be read from outside, or a register that is not set',
    remedy: 'put in the measurement of the image: enclaver trust IMAGE',
  },
  'malformed-measurement': {
    severity: 'error',
    why: 'a register has 96 hexadecimal digits; another text is never equal',
    remedy: 'put in the measurement of the image: enclaver trust IMAGE',
  },
  'case-mismatch': {
    severity: 'error',
    why: 'KMS compares with lower-case digits, so upper-case ones are never equal under this operator',
    remedy: USE_EQUALS,
  },
  'condition-if-exists': {
    severity: 'error',
    why: '…IfExists is true for a request without an attestation document, so nothing is checked',
    remedy: USE_EQUALS,
  },
  'condition-for-all-values': {
    severity: 'error',
    why: 'ForAllValues is true for a request without an attestation document, so nothing is checked',
    remedy: USE_EQUALS,
  },
  'condition-for-any-value': {
    severity: 'warning',
    why: 'the key has one value; AWS says not to use a set operator on such a key',
    remedy: USE_EQUALS,
  },
  'condition-negated': {
    severity: 'error',
    why: 'it lets in every image but the one that is listed, and requests without an attestation document',
    remedy: USE_EQUALS,
  },
  'condition-pattern': {
    severity: 'error',
    why: 'a pattern lets in images that nobody has measured',
    remedy: 'use StringEqualsIgnoreCase and whole values',
  },
  'condition-presence': {
    severity: 'error',
    why: 'whether there is an attestation document says nothing of the image in it; every enclave has one',
    remedy: 'compare registers with StringEqualsIgnoreCase in the same statement',
  },
  'condition-type': {
    severity: 'error',
    why: 'the keys are texts; an operator for another type never holds',
    remedy: USE_EQUALS,
  },
  'condition-never-holds': {
    severity: 'error',
    why: 'one register is compared with different values that all have to hold',
    remedy: 'compare each register once',
  },
  'unknown-attestation-key': {
    severity: 'error',
    why: 'KMS has ImageSha384 and PCR0 to PCR31; a condition on another key never holds',
    remedy: 'mend the name of the key',
  },
  'image-sha-mixed': {
    severity: 'warning',
    why: 'ImageSha384 is PCR0 by another name: two places to change, and nothing gained',
    remedy: 'take ImageSha384 out and compare PCR0',
  },
  'cross-product': {
    severity: 'warning',
    why: 'values are alternatives register by register, so parts of different images pass when put together',
    remedy: TWO_STATEMENTS,
  },
  'deny-lists-image': {
    severity: 'warning',
    why: 'it denies the listed image only; every other image and requests without a document pass it',
    remedy: 'deny with StringNotEqualsIgnoreCase, or leave it to the Allow statement',
  },
  'deny-conditions-joined': {
    severity: 'error',
    why: 'all conditions of a statement have to hold, so an image with one of the values right is not denied',
    remedy: 'write one Deny statement for each register',
  },
  'no-attested-statement': {
    severity: 'error',
    why: 'nothing in the policy lets an enclave in by what it measures',
    remedy: 'add a statement: enclaver trust --kms --merge POLICY IMAGE',
  },
  'statement-without-effect': {
    severity: 'warning',
    why: 'KMS ignores a statement without Action or without Resource, and says nothing',
    remedy: 'add what is missing',
  },
  'action-takes-no-attestation': {
    severity: 'warning',
    why: 'only Decrypt, DeriveSharedSecret, GenerateDataKey, GenerateDataKeyPair and GenerateRandom carry a document; the condition never holds for others',
    remedy: 'take the action out, or into a statement without attestation conditions (Encrypt needs none)',
  },
  'unattested-use': {
    severity: 'error',
    why: 'the same role gets at secrets of the key without an enclave, so the attestation conditions bind nobody',
    remedy: 'take these actions out of this statement',
  },
  'unattested-use-by-others': {
    severity: 'warning',
    why: 'who has this principal gets at secrets of the key without an enclave',
    remedy: 'take these actions out, unless this principal is meant to see the secrets',
  },
  'account-can-decrypt': {
    severity: 'warning',
    why: 'a statement for the account hands the decision to IAM: a policy in IAM can let anybody in without attestation',
    remedy: 'allow the account what administers the key only, in place of kms:*; docs/trust.md has the list',
  },
  'account-can-change-policy': {
    severity: 'note',
    why: 'the account, by root or by whom IAM lets, can replace this policy at any time',
    remedy:
      'guard kms:PutKeyPolicy and kms:ReplicateKey in IAM and by a service control policy; keep the key in an account of its own',
  },
  'enclave-role-can-change-policy': {
    severity: 'error',
    why: 'the parent instance has the credentials of this role and could write a policy without attestation',
    remedy: 'take kms:PutKeyPolicy, kms:ReplicateKey (and kms:*) away from the role',
  },
  'role-can-change-policy': {
    severity: 'warning',
    why: 'who has this principal can write a policy without attestation; a CI role must not',
    remedy: 'leave kms:PutKeyPolicy and kms:ReplicateKey to a role that people take up for it',
  },
  'enclave-role-can-grant': {
    severity: 'error',
    why: 'a grant lets its grantee decrypt, and can carry no attestation condition',
    remedy: 'take kms:CreateGrant (and kms:*) away from the role',
  },
  'role-can-grant': {
    severity: 'warning',
    why: 'a grant lets its grantee decrypt, and can carry no attestation condition',
    remedy: 'take kms:CreateGrant away, unless this principal administers the key',
  },
  'open-principal': {
    severity: 'error',
    why: 'everybody in every account of AWS may do this',
    remedy: 'name the role: enclaver trust --kms --principal ROLE_ARN',
  },
  'open-principal-attested': {
    severity: 'warning',
    why: 'anybody may run the same image on an instance of their own and feed it as they like',
    remedy: 'name the role: enclaver trust --kms --principal ROLE_ARN',
  },
  'not-principal': {
    severity: 'error',
    why: 'Allow with NotPrincipal lets in everybody who is not listed, in every account',
    remedy: 'use Principal',
  },
  'not-action': {
    severity: 'warning',
    why: 'Allow with NotAction also allows what KMS will add, and kms:PutKeyPolicy where it is not listed',
    remedy: 'list the actions in Action',
  },
  'policy-too-large': {
    severity: 'error',
    why: 'KMS takes at most 32,768 bytes',
    remedy: 'take out statements that are not needed any more, or the white space',
  },
  'stale-measurement': {
    severity: 'warning',
    why: 'the statement is not for the given image; it may be for one that should be let in no more',
    remedy: 'replace it (enclaver trust --kms --merge POLICY IMAGE), or take it out once the old image runs nowhere',
  },
  'image-not-allowed': {
    severity: 'error',
    why: 'no statement lets the given image use the key',
    remedy: 'add its statement: enclaver trust --kms --merge POLICY IMAGE',
  },
} as const satisfies Record<string, FindingKind>;

export type FindingId = keyof typeof findingKinds;

export interface Finding extends FindingKind {
  id: FindingId;
  /** Where; undefined when it is about the whole policy. index counts from 0. */
  statement?: { index: number; sid?: string };
  /** What was found. */
  found: string;
}

export function finding(id: FindingId, found: string, statement?: { index: number; sid: string | undefined }): Finding {
  const where =
    statement === undefined
      ? {}
      : { statement: { index: statement.index, ...(statement.sid === undefined ? {} : { sid: statement.sid }) } };
  const { severity, why, remedy } = findingKinds[id];
  return { id, severity, ...where, found, why, remedy };
}
