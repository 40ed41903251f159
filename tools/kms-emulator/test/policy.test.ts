import assert from 'node:assert/strict';
import { DecryptCommand, EncryptCommand, GenerateDataKeyCommand } from '@aws-sdk/client-kms';
import type { KmsEmulator } from '../src/index.ts';
import { clientOf, enclave, policyOf, ROLE, SESSION, startEmulator, stranger } from './support.ts';

type Outcome = 'allowed' | 'denied' | 'denied explicitly';

const allow = (changes: object = {}): object => ({
  Effect: 'Allow',
  Principal: '*',
  Action: 'kms:*',
  Resource: '*',
  ...changes,
});
const deny = (changes: object = {}): object => ({ ...allow(changes), Effect: 'Deny' });
const to = (principal: string | string[]): object => ({ Principal: { AWS: principal } });
const when = (operator: string, name: string, value: string | string[]): object => ({
  Condition: { [operator]: { [`kms:EncryptionContext:${name}`]: value } },
});

/** What a policy says to an Encrypt of the enclave's session with the encryption context `app=Shop`. */
const cases: [string, object[], Outcome][] = [
  ['nothing', [], 'denied'],
  ['everything to everybody', [allow()], 'allowed'],
  ['a Deny after an Allow', [allow(), deny()], 'denied explicitly'],
  ['a Deny before an Allow', [deny(), allow()], 'denied explicitly'],
  ['a Deny of another action', [allow(), deny({ Action: 'kms:Decrypt' })], 'allowed'],
  ['a Deny of another principal', [allow(), deny(to(stranger.principal))], 'allowed'],
  ['the role of the session', [allow(to(ROLE))], 'allowed'],
  ['the role at a path', [allow(to(ROLE.replace('role/', 'role/team/')))], 'allowed'],
  ['the session itself', [allow(to(SESSION))], 'allowed'],
  ['another session of the role', [allow(to(`${SESSION}1`))], 'denied'],
  ['another role', [allow(to(`${ROLE}2`))], 'denied'],
  ['the role of another account', [allow(to(ROLE.replace('111122223333', '444455556666')))], 'denied'],
  ['the role of another partition', [allow(to(ROLE.replace('arn:aws:', 'arn:aws-cn:')))], 'denied'],
  ['a user with the name of the role', [allow(to(ROLE.replace('role/', 'user/')))], 'denied'],
  ['the account by its number', [allow(to('111122223333'))], 'allowed'],
  ['the account by its root', [allow(to('arn:aws:iam::111122223333:root'))], 'allowed'],
  ['another account', [allow(to('arn:aws:iam::444455556666:root'))], 'denied'],
  ['one of several principals', [allow(to([stranger.principal, ROLE]))], 'allowed'],
  ['the action by name', [allow({ Action: 'kms:Encrypt' })], 'allowed'],
  ['the action in another case', [allow({ Action: 'KMS:encrypt' })], 'allowed'],
  ['a pattern of actions', [allow({ Action: ['kms:De*', 'kms:?ncrypt'] })], 'allowed'],
  ['another pattern', [allow({ Action: 'kms:Encrypt?' })], 'denied'],
  ['a pattern with a point', [allow({ Action: 'kms.Encrypt' })], 'denied'],
  ['all actions of all services', [allow({ Action: '*' })], 'allowed'],
  ['keys of the region', [allow({ Resource: 'arn:aws:kms:us-east-1:111122223333:key/*' })], 'allowed'],
  ['another key', [allow({ Resource: 'arn:aws:kms:us-east-1:111122223333:key/other' })], 'denied'],
  ['the context', [allow(when('StringEquals', 'app', 'Shop'))], 'allowed'],
  ['the context in another case', [allow(when('StringEquals', 'app', 'shop'))], 'denied'],
  ['the name of the context in another case', [allow(when('StringEquals', 'APP', 'Shop'))], 'allowed'],
  ['the context, case not counted', [allow(when('StringEqualsIgnoreCase', 'app', 'sHOP'))], 'allowed'],
  ['one of several values', [allow(when('StringEquals', 'app', ['Bank', 'Shop']))], 'allowed'],
  ['a pattern of the context', [allow(when('StringLike', 'app', 'S?o*'))], 'allowed'],
  ['a pattern in another case', [allow(when('StringLike', 'app', 's*'))], 'denied'],
  ['a pattern where none is one', [allow(when('StringEquals', 'app', '*'))], 'denied'],
  ['a context that is not there', [allow(when('StringLike', 'stage', '*'))], 'denied'],
  ['a Deny on a context that is not there', [allow(), deny(when('StringLike', 'stage', '*'))], 'allowed'],
  [
    'two operators of which one holds',
    [
      allow({
        Condition: {
          StringEquals: { 'kms:EncryptionContext:app': 'Shop' },
          StringLike: { 'kms:EncryptionContext:app': 'B*' },
        },
      }),
    ],
    'denied',
  ],
  [
    'two keys of which one holds',
    [allow({ Condition: { StringEquals: { 'kms:EncryptionContext:app': 'Shop', 'aws:PrincipalTag/team': 'a' } } })],
    'denied',
  ],
];

describe('KMS emulator: key policies', () => {
  let emulator: KmsEmulator;
  before(async () => {
    emulator = await startEmulator();
  });
  after(() => emulator[Symbol.asyncDispose]());

  for (const [name, statements, outcome] of cases) {
    it(`${name}: ${outcome}`, async () => {
      const { arn } = emulator.keys.createSymmetric({ policy: policyOf(...statements) });
      const request = clientOf(emulator).send(
        new EncryptCommand({ KeyId: arn, Plaintext: new Uint8Array(1), EncryptionContext: { app: 'Shop' } }),
      );
      if (outcome === 'allowed') {
        assert.equal((await request).KeyId, arn);
        return;
      }
      const why =
        outcome === 'denied'
          ? 'because no resource-based policy allows the kms:Encrypt action'
          : 'with an explicit deny in a resource-based policy';
      await assert.rejects(request, {
        name: 'AccessDeniedException',
        message: `User: ${SESSION} is not authorized to perform: kms:Encrypt on resource: ${arn} ${why}`,
      });
    });
  }

  it('tells actions apart: who may encrypt may not decrypt', async () => {
    const client = clientOf(emulator);
    const { arn: KeyId } = emulator.keys.createSymmetric({ policy: policyOf(allow({ Action: 'kms:Encrypt' })) });
    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext: new Uint8Array(1) }));
    await assert.rejects(client.send(new DecryptCommand({ CiphertextBlob })), { name: 'AccessDeniedException' });
  });

  it('lets the own account alone use a key without a policy', async () => {
    const { arn: KeyId } = emulator.keys.createSymmetric();
    const request = new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' });
    assert.ok(await clientOf(emulator, enclave).send(request));
    await assert.rejects(clientOf(emulator, stranger).send(request), { name: 'AccessDeniedException' });
  });

  it('takes a policy as text, and one statement for a list of one', async () => {
    const policy = JSON.stringify({ Version: '2012-10-17', Id: 'key', Statement: allow({ Sid: 'All' }) });
    const { arn: KeyId } = emulator.keys.createSymmetric({ policy });
    assert.ok(await clientOf(emulator).send(new EncryptCommand({ KeyId, Plaintext: new Uint8Array(1) })));
  });

  it('refuses what it does not evaluate, instead of passing over it', () => {
    const create = (policy: unknown) => () => emulator.keys.createSymmetric({ policy });
    for (const statement of [
      allow({ Condition: { StringNotEquals: { 'kms:EncryptionContext:app': 'a' } } }),
      allow({ Condition: { StringEqualsIfExists: { 'kms:EncryptionContext:app': 'a' } } }),
      allow({ Condition: { Null: { 'kms:RecipientAttestation:PCR0': 'true' } } }),
      { Effect: 'Allow', NotPrincipal: { AWS: ROLE }, Action: 'kms:*', Resource: '*' },
      { Effect: 'Allow', Principal: '*', NotAction: 'kms:Decrypt', Resource: '*' },
      { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'kms:*', Resource: '*' },
      { Effect: 'allow', Principal: '*', Action: 'kms:*', Resource: '*' },
      { Effect: 'Allow', Principal: '*', Action: 'kms:*' },
    ]) {
      assert.throws(create(policyOf(statement)), { name: 'KmsError', type: 'MalformedPolicyDocumentException' });
    }
    assert.throws(create('{'), { type: 'MalformedPolicyDocumentException' });
    assert.throws(create(policyOf(allow({ Sid: 'x'.repeat(33_000) }))), { type: 'LimitExceededException' });
  });
});
