import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type FindingId, findingKinds, lintPolicy, type Pcrs } from '../src/index.ts';
import { pcr, ROLE, ROOT, refusal } from './support.ts';

type Json = Record<string, unknown>;

const OTHER = 'arn:aws:iam::111122223333:role/Ci';
const A = pcr('a');
const B = pcr('b');
const image: Pcrs = { PCR0: A, PCR1: pcr('1'), PCR2: pcr('2') };
const key = (name: string) => `kms:RecipientAttestation:${name}`;
const good = { [key('PCR0')]: A, [key('PCR1')]: pcr('1'), [key('PCR2')]: pcr('2') };

/** A statement without fault, with changes. */
const allow = (changes: Json = {}): Json => ({
  Sid: 'Enclave',
  Effect: 'Allow',
  Principal: { AWS: ROLE },
  Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
  Resource: '*',
  Condition: { StringEqualsIgnoreCase: good },
  ...changes,
});
const asking = (Condition: Json): Json => allow({ Condition });
const plain = (changes: Json): Json => {
  const { Condition: _, ...statement } = allow({ Sid: 'Plain', ...changes });
  return statement;
};
const deny = (Condition: Json, changes: Json = {}): Json => ({
  Sid: 'No',
  Effect: 'Deny',
  Principal: '*',
  Action: 'kms:Decrypt',
  Resource: '*',
  Condition,
  ...changes,
});

const policyOf = (statements: readonly Json[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const idsOf = (statements: readonly Json[], pcrs?: Pcrs): FindingId[] =>
  lintPolicy(policyOf(statements), pcrs).map(({ id }) => id);

/** What each faulty policy must be found to have: all of it, and nothing else. */
const cases: [name: string, statements: Json[], expected: FindingId[], pcrs?: Pcrs][] = [
  ['a policy without fault', [allow()], []],
  ['the same for its image', [allow()], [], image],
  ['ImageSha384 alone', [asking({ StringEqualsIgnoreCase: { [key('ImageSha384')]: A } })], ['pcr0-only']],
  ['PCR0 alone', [asking({ StringEqualsIgnoreCase: { [key('PCR0')]: A } })], ['pcr0-only']],
  ['keys in another case', [asking({ stringequalsignorecase: { 'KMS:recipientattestation:pcr0': A } })], ['pcr0-only']],
  ['PCR1 and PCR2', [asking({ StringEquals: { [key('PCR1')]: A, [key('PCR2')]: B } })], []],
  ['the signer', [asking({ StringEquals: { [key('PCR8')]: A } })], []],
  ['the app without what runs it', [asking({ StringEquals: { [key('PCR2')]: A } })], ['image-not-named']],
  ['the role alone', [asking({ StringEquals: { [key('PCR3')]: A } })], ['image-not-named']],
  ['zeros', [asking({ StringEqualsIgnoreCase: { ...good, [key('PCR0')]: pcr('0') } })], ['zero-measurement']],
  [
    'zeros as an alternative',
    [asking({ StringEqualsIgnoreCase: { ...good, [key('PCR0')]: [A, pcr('0')] } })],
    ['zero-measurement'],
  ],
  [
    'a register of 95 digits',
    [asking({ StringEqualsIgnoreCase: { ...good, [key('PCR1')]: A.slice(1) } })],
    ['malformed-measurement'],
  ],
  [
    'a SHA-256',
    [asking({ StringEqualsIgnoreCase: { ...good, [key('PCR1')]: 'a'.repeat(64) } })],
    ['malformed-measurement'],
  ],
  [
    'no hexadecimal digits',
    [asking({ StringEqualsIgnoreCase: { ...good, [key('PCR1')]: pcr('x') } })],
    ['malformed-measurement'],
  ],
  ['upper case, case counts', [asking({ StringEquals: { ...good, [key('PCR0')]: pcr('A') } })], ['case-mismatch']],
  ['upper case, case does not count', [asking({ StringEqualsIgnoreCase: { ...good, [key('PCR0')]: pcr('A') } })], []],
  ['lower case, case counts', [asking({ StringEquals: good })], []],
  [
    'IfExists',
    [asking({ StringEqualsIgnoreCaseIfExists: good })],
    ['no-attested-statement', ...three('condition-if-exists'), 'unattested-use-by-others'],
  ],
  [
    'IfExists beside a comparison',
    [asking({ StringEqualsIgnoreCase: good, StringEqualsIfExists: { [key('PCR8')]: B } })],
    ['condition-if-exists'],
  ],
  [
    'ForAllValues',
    [asking({ 'ForAllValues:StringEquals': { [key('PCR8')]: A } })],
    ['no-attested-statement', 'condition-for-all-values', 'unattested-use-by-others'],
  ],
  ['ForAnyValue', [asking({ 'ForAnyValue:StringEquals': { [key('PCR8')]: A } })], ['condition-for-any-value']],
  [
    'StringNotEquals',
    [asking({ StringNotEquals: { [key('PCR8')]: A } })],
    ['no-attested-statement', 'condition-negated', 'unattested-use-by-others'],
  ],
  [
    'a pattern',
    [asking({ StringLike: { [key('PCR8')]: '*' } })],
    ['no-attested-statement', 'condition-pattern', 'unattested-use-by-others'],
  ],
  ['StringLike without a pattern', [asking({ StringLike: good })], []],
  [
    'an operator for ARNs',
    [asking({ ArnEquals: { [key('PCR8')]: A } })],
    ['no-attested-statement', 'condition-type', 'unattested-use-by-others'],
  ],
  [
    'presence alone',
    [asking({ Null: { [key('PCR0')]: 'false' } })],
    ['no-attested-statement', 'condition-presence', 'unattested-use-by-others'],
  ],
  ['presence beside a comparison', [asking({ Null: { [key('PCR0')]: false }, StringEquals: good })], []],
  ['PCR32', [asking({ StringEquals: { ...good, [key('PCR32')]: A } })], ['unknown-attestation-key']],
  ['PCR08', [asking({ StringEquals: { ...good, [key('PCR08')]: A } })], ['unknown-attestation-key']],
  [
    'ImageSha384 with PCRs',
    [asking({ StringEquals: { [key('ImageSha384')]: A, [key('PCR1')]: B } })],
    ['image-sha-mixed'],
  ],
  [
    'ImageSha384 beside an equal PCR0',
    [asking({ StringEquals: { [key('ImageSha384')]: A, [key('PCR0')]: A, [key('PCR8')]: B } })],
    ['image-sha-mixed'],
  ],
  [
    'ImageSha384 beside another PCR0',
    [asking({ StringEquals: { ...good, [key('ImageSha384')]: B } })],
    ['condition-never-holds', 'image-sha-mixed'],
  ],
  ['two builds in one register', [asking({ StringEquals: { ...good, [key('PCR0')]: [A, B] } })], []],
  [
    'two builds register by register',
    [asking({ StringEquals: { [key('PCR1')]: [A, B], [key('PCR2')]: [A, B] } })],
    ['cross-product'],
  ],
  ['two instances', [asking({ StringEquals: { ...good, [key('PCR0')]: [A, B], [key('PCR4')]: [A, B] } })], []],
  [
    'an action that takes no document',
    [allow({ Action: ['kms:Decrypt', 'kms:Encrypt'] })],
    ['action-takes-no-attestation'],
  ],
  ['encryption without attestation', [allow(), plain({ Action: ['kms:Encrypt', 'kms:DescribeKey'] })], []],
  ['the same role without attestation', [allow(), plain({})], ['unattested-use']],
  ['the same role by a pattern', [allow(), plain({ Action: 'kms:?ecrypt*' })], ['unattested-use']],
  ['the same role by another operation', [allow(), plain({ Action: 'kms:ReEncrypt*' })], ['unattested-use']],
  [
    'the same role with a condition on something else',
    [allow(), plain({ Condition: { StringEquals: { 'kms:ViaService': 'x' } } })],
    ['unattested-use'],
  ],
  ['another role without attestation', [allow(), plain({ Principal: { AWS: [OTHER] } })], ['unattested-use-by-others']],
  [
    'the account without limits',
    [allow(), plain({ Principal: { AWS: ROOT }, Action: 'kms:*' })],
    ['account-can-decrypt', 'account-can-change-policy'],
  ],
  [
    'the account by its number',
    [allow(), plain({ Principal: { AWS: '111122223333' }, Action: '*' })],
    ['account-can-decrypt', 'account-can-change-policy'],
  ],
  [
    'the account as an administrator',
    [allow(), plain({ Principal: { AWS: ROOT }, Action: ['kms:Put*', 'kms:Describe*'] })],
    ['account-can-change-policy'],
  ],
  ['all actions under an attestation condition', [allow({ Action: 'kms:*' })], []],
  [
    'a policy change that is denied',
    [allow(), plain({ Action: 'kms:Put*' }), deny({}, { Action: 'kms:PutKeyPolicy' })],
    [],
  ],
  [
    'a policy change that is denied to another',
    [allow(), plain({ Action: 'kms:Put*' }), deny({}, { Action: 'kms:*', Principal: { AWS: OTHER } })],
    ['enclave-role-can-change-policy'],
  ],
  [
    'a hole behind a joined Deny',
    [allow(), plain({ Action: 'kms:Decrypt' }), deny({ StringNotEquals: { [key('PCR1')]: A, [key('PCR2')]: B } })],
    ['deny-conditions-joined', 'unattested-use'],
  ],
  ['the account grants', [allow(), plain({ Principal: { AWS: ROOT }, Action: 'kms:Create*' })], ['role-can-grant']],
  ['the role changes the policy', [allow(), plain({ Action: 'kms:PutKeyPolicy' })], ['enclave-role-can-change-policy']],
  [
    'the role may do all',
    [allow(), plain({ Action: 'kms:*' })],
    ['unattested-use', 'enclave-role-can-change-policy', 'enclave-role-can-grant'],
  ],
  ['the role grants', [allow(), plain({ Action: 'kms:createGrant' })], ['enclave-role-can-grant']],
  [
    'a CI role changes the policy',
    [allow(), plain({ Principal: { AWS: OTHER }, Action: 'kms:Put*' })],
    ['role-can-change-policy'],
  ],
  [
    'a CI role grants',
    [allow(), plain({ Principal: { AWS: OTHER }, Action: ['kms:CreateGrant'] })],
    ['role-can-grant'],
  ],
  ['everybody', [allow(), plain({ Principal: '*', Action: 'kms:DescribeKey' })], ['open-principal']],
  ['everybody decrypts', [allow(), plain({ Principal: { AWS: '*' } })], ['open-principal', 'unattested-use']],
  ['everybody with the image', [allow({ Principal: '*' })], ['open-principal-attested']],
  [
    'everybody of an account with the image',
    [allow({ Principal: '*', Condition: { StringEquals: { ...good, 'kms:CallerAccount': '111122223333' } } })],
    [],
  ],
  [
    'NotPrincipal',
    [allow(), { ...plain({ Action: 'kms:Encrypt' }), Principal: undefined, NotPrincipal: { AWS: OTHER } }],
    ['not-principal'],
  ],
  [
    'NotAction',
    [allow(), { ...plain({ Principal: { AWS: OTHER } }), Action: undefined, NotAction: 'kms:Decrypt' }],
    ['unattested-use-by-others', 'not-action', 'role-can-change-policy', 'role-can-grant'],
  ],
  ['no Resource', [allow(), plain({ Action: 'kms:Encrypt', Resource: undefined })], ['statement-without-effect']],
  ['a service', [allow(), plain({ Principal: { Service: 'logs.amazonaws.com' } })], []],
  ['Deny of one image', [allow(), deny({ StringEquals: { [key('PCR0')]: A } })], ['deny-lists-image']],
  ['Deny of debug mode', [allow(), deny({ StringEquals: { [key('PCR0')]: pcr('0') } })], []],
  ['Deny of all other images', [allow(), deny({ StringNotEqualsIgnoreCase: { [key('PCR0')]: A } })], []],
  [
    'Deny of what differs in all registers',
    [allow(), deny({ StringNotEquals: { [key('PCR1')]: A, [key('PCR2')]: B } })],
    ['deny-conditions-joined'],
  ],
  [
    'Deny that stands before a hole',
    [allow(), plain({ Action: 'kms:Decrypt' }), deny({ StringNotEquals: { [key('PCR0')]: A } })],
    [],
  ],
  ...['PCR1', 'PCR3', 'PCR16'].map((register): [string, Json[], FindingId[]] => [
    `Deny of other values of ${register}, which many images have`,
    [allow(), plain({ Action: 'kms:Decrypt' }), deny({ StringNotEquals: { [key(register)]: A } })],
    ['image-not-named'],
  ]),
  [
    'Deny of other values of PCR1 and of PCR2, a statement each',
    [
      allow(),
      plain({ Action: 'kms:Decrypt' }),
      deny({ StringNotEquals: { [key('PCR1')]: A } }),
      deny({ StringNotEquals: { [key('PCR2')]: B } }),
    ],
    [],
  ],
  [
    'Deny for another key',
    [allow(), plain({ Action: 'kms:Decrypt' }), deny({}, { Resource: 'arn:aws:kms:eu-west-1:111122223333:key/1' })],
    ['unattested-use'],
  ],
  [
    'Deny of a register for what carries no document',
    [allow(), plain({ Action: 'kms:Put*' }), deny({ StringNotEquals: { [key('PCR3')]: A } }, { Action: 'kms:*' })],
    [],
  ],
  ['the role makes a replica', [allow(), plain({ Action: 'kms:ReplicateKey' })], ['enclave-role-can-change-policy']],
  [
    'Deny that covers a part of a hole',
    [allow(), plain({}), deny({ StringNotEquals: { [key('PCR0')]: A } })],
    ['unattested-use'],
  ],
  [
    'Deny with a pattern',
    [allow(), plain({ Action: 'kms:Decrypt' }), deny({ StringNotLike: { [key('PCR0')]: '*' } })],
    ['unattested-use'],
  ],
  [
    'no statement for an enclave',
    [plain({ Principal: { AWS: ROOT }, Action: 'kms:Describe*' })],
    ['no-attested-statement'],
  ],
  [
    'NitroTPM, which is no enclave',
    [asking({ StringEquals: { [key('NitroTPMPCR4')]: A } })],
    ['no-attested-statement', 'unattested-use-by-others'],
  ],
  ['another image', [allow()], ['image-not-allowed', 'stale-measurement'], { ...image, PCR0: B }],
  [
    'two images, one of them this',
    [allow(), allow({ Sid: 'Old', Condition: { StringEquals: { [key('PCR8')]: B, [key('PCR0')]: B } } })],
    ['stale-measurement'],
    image,
  ],
  ['a register that is not known of the image', [asking({ StringEquals: { ...good, [key('PCR3')]: B } })], [], image],
  [
    'a signer, and an image without signature',
    [asking({ StringEquals: { ...good, [key('PCR8')]: B } })],
    ['image-not-allowed', 'stale-measurement'],
    image,
  ],
  ['an oversized policy', [allow({ Sid: 'x'.repeat(33_000) })], ['policy-too-large']],
];

function three(id: FindingId): FindingId[] {
  return [id, id, id];
}

describe('linter of key policies', () => {
  for (const [name, statements, expected, pcrs] of cases) {
    it(`${name}: ${expected.join(', ') || 'nothing'}`, () => {
      assert.deepEqual(idsOf(statements, pcrs).sort(), [...expected].sort());
    });
  }

  it('has a case for each kind of finding', () => {
    const seen = new Set(cases.flatMap(([, , expected]) => expected));
    assert.deepEqual(
      Object.keys(findingKinds).filter((id) => !seen.has(id as FindingId)),
      [],
    );
  });

  it('says where, what, why and what to do; the worst first', () => {
    const findings = lintPolicy(
      policyOf([plain({ Principal: { AWS: ROOT }, Action: 'kms:*' }), allow({ Sid: undefined }), plain({})]),
    );
    assert.deepEqual(
      findings.map(({ severity, statement }) => [severity, statement]),
      [
        ['error', { index: 2, sid: 'Plain' }],
        ['warning', { index: 0, sid: 'Plain' }],
        ['note', { index: 0, sid: 'Plain' }],
      ],
    );
    for (const { found, why, remedy } of findings) assert.ok(found.length > 5 && why.length > 5 && remedy.length > 5);
  });

  it('takes a text for a list everywhere, and the form of `aws kms get-key-policy`', () => {
    const single = JSON.stringify({ Statement: allow({ Action: 'kms:Decrypt', Principal: { AWS: [ROLE] } }) });
    assert.deepEqual(lintPolicy(single, image), []);
    assert.deepEqual(lintPolicy(JSON.stringify({ Policy: single }), image), []);
  });

  it('refuses what is no policy', () => {
    for (const text of [
      '',
      '[]',
      '{}',
      'null',
      '{"Statement":[{"Effect":"Allow","Action":5}]}',
      '{"Statement":[],"a":1,"a":2}',
    ]) {
      assert.throws(() => lintPolicy(text), refusal('POLICY_INVALID'));
    }
  });

  it('judges or refuses any text in bounded time, and throws nothing else', () => {
    const words = fc.constantFrom(
      '*',
      '?',
      'kms:*',
      'Allow',
      'Deny',
      ROLE,
      ROOT,
      A,
      key('PCR0'),
      key('ImageSha384'),
      'StringEquals',
      'x',
    );
    const lists = fc.oneof(words, fc.array(words, { maxLength: 3 }));
    const statement = fc.record(
      {
        Effect: fc.constantFrom('Allow', 'Deny'),
        Principal: fc.oneof(words, fc.dictionary(fc.constantFrom('AWS', 'Service'), lists)),
        Action: lists,
        NotAction: lists,
        Resource: lists,
        Condition: fc.dictionary(words, fc.dictionary(words, lists)),
      },
      { requiredKeys: ['Effect'] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.array(statement).map((all) => JSON.stringify({ Statement: all })),
        ),
        (text) => {
          try {
            lintPolicy(text, image);
          } catch (error) {
            refusal('POLICY_INVALID')(error);
          }
        },
      ),
    );
    const stars = `kms:${'*?'.repeat(4_000)}x`;
    assert.deepEqual(idsOf([allow(), plain({ Action: stars })]), []);
  });
});
