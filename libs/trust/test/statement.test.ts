import assert from 'node:assert/strict';
import { type KmsStatementOptions, kmsStatement, lintPolicy } from '../src/index.ts';
import { pcr, ROLE, refusal } from './support.ts';

const pcrs = { PCR0: pcr('a'), PCR1: pcr('b'), PCR2: pcr('c'), PCR8: pcr('d') };
const make = (changes: Partial<KmsStatementOptions> = {}) => kmsStatement({ principal: ROLE, pcrs, ...changes });
const keys = (changes: Partial<KmsStatementOptions>) => Object.keys(make(changes).Condition.StringEqualsIgnoreCase);

describe('statement of a KMS key policy', () => {
  it('is whole: role, five actions, and every register that has a value', () => {
    assert.deepEqual(make(), {
      Sid: 'EnclaverAttested',
      Effect: 'Allow',
      Principal: { AWS: ROLE },
      Action: [
        'kms:Decrypt',
        'kms:DeriveSharedSecret',
        'kms:GenerateDataKey',
        'kms:GenerateDataKeyPair',
        'kms:GenerateRandom',
      ],
      Resource: '*',
      Condition: {
        StringEqualsIgnoreCase: {
          'kms:RecipientAttestation:PCR0': pcr('a'),
          'kms:RecipientAttestation:PCR1': pcr('b'),
          'kms:RecipientAttestation:PCR2': pcr('c'),
          'kms:RecipientAttestation:PCR8': pcr('d'),
        },
      },
    });
  });

  it('has nothing that the linter finds', () => {
    const policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [make(), make({ label: 'Next', registers: ['PCR8', 'PCR1'] })],
    });
    assert.deepEqual(lintPolicy(policy, pcrs), []);
  });

  it('leaves registers and actions out on demand', () => {
    assert.deepEqual(keys({ registers: ['PCR8', 'PCR1', 'PCR2'] }), [
      'kms:RecipientAttestation:PCR1',
      'kms:RecipientAttestation:PCR2',
      'kms:RecipientAttestation:PCR8',
    ]);
    assert.deepEqual(make({ actions: ['kms:GenerateDataKey', 'kms:Decrypt'] }).Action, [
      'kms:Decrypt',
      'kms:GenerateDataKey',
    ]);
    assert.equal(make({ label: 'Next' }).Sid, 'EnclaverAttestedNext');
  });

  it('adds PCR3 and PCR4 where they are known', () => {
    assert.ok(keys({ pcrs: { ...pcrs, PCR3: pcr('3'), PCR4: pcr('4') } }).includes('kms:RecipientAttestation:PCR4'));
  });

  it('takes a role of any partition, and two only of the same', () => {
    const china = 'arn:aws-cn:iam::111122223333:role/EnclaveRole';
    assert.deepEqual(make({ principal: china, roleArn: china }).Principal, { AWS: china });
    assert.throws(() => make({ roleArn: china }), refusal('KMS_STATEMENT_INVALID', /different partitions/));
  });

  it('refuses zeros', () => {
    for (const register of ['PCR0', 'PCR8'] as const) {
      assert.throws(
        () => make({ pcrs: { ...pcrs, [register]: pcr('0') } }),
        refusal('MEASUREMENTS_ZERO', new RegExp(register)),
      );
    }
  });

  it('refuses registers that have no value or name no image', () => {
    assert.throws(
      () => make({ registers: ['PCR0', 'PCR3'] }),
      refusal('REGISTERS_INVALID', /PCR3 has no value.*--role-arn/s),
    );
    assert.throws(() => make({ registers: ['PCR2'] }), refusal('REGISTERS_INVALID', /PCR2 does not say/));
    assert.throws(() => make({ registers: [] }), refusal('REGISTERS_INVALID'));
  });

  it('refuses a principal that is no role, and a label that is no part of a Sid', () => {
    assert.throws(() => make({ principal: '*' }), refusal('ROLE_ARN_INVALID'));
    for (const label of ['a b', '"', 'ä', 'x'.repeat(49)]) {
      assert.throws(() => make({ label }), refusal('KMS_STATEMENT_INVALID', /label/));
    }
  });
});
