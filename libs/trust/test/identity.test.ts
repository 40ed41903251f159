import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { instancePcrOf, parseRoleArn, rolePcrOf } from '../src/index.ts';
import { refusal } from './support.ts';

interface Vectors {
  pcr3_computed: { role_arn: string; pcr3: string }[];
  pcr4_seen_in_real_documents: { instance_id: string; pcr4: string }[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL('./vectors/pcr.json', import.meta.url), 'utf8'));

describe('PCR3 and PCR4', () => {
  for (const { role_arn, pcr3 } of vectors.pcr3_computed) {
    it(`PCR3 of ${role_arn}`, () => assert.equal(rolePcrOf(role_arn), pcr3));
  }

  for (const { instance_id, pcr4 } of vectors.pcr4_seen_in_real_documents) {
    it(`PCR4 of ${instance_id} is that of a real document`, () => assert.equal(instancePcrOf(instance_id), pcr4));
  }

  it('reads partition and account of a role', () => {
    const arn = 'arn:aws-cn:iam::111122223333:role/a/b/Name+=,.@-_1';
    assert.deepEqual(parseRoleArn(arn), { arn, partition: 'aws-cn', account: '111122223333' });
  });

  for (const [arn, text] of [
    ['arn:aws:sts::111122223333:assumed-role/Web/i-0123', /session.*\n.*arn:aws:iam::111122223333:role\/Web/s],
    ['arn:aws:iam::111122223333:user/bob', /user/],
    ['arn:aws:iam::111122223333:root', /root/],
    ['arn:aws:iam::111122223333:instance-profile/Web', /instance profile/],
    ['arn:aws:iam::111122223333:role/', /no ARN/],
    ['arn:aws:iam::111122223333:role/a//b', /no ARN/],
    ['arn:aws:iam::111122223333:role/b ', /no ARN/],
    ['arn:aws:iam::111122223333:role/b\n', /no ARN/],
    [`arn:aws:iam::111122223333:role/${'x'.repeat(65)}`, /no ARN/],
    ['arn:aws:iam:us-east-1:111122223333:role/b', /no ARN/],
    ['arn:aws:iam::11112222333:role/b', /no ARN/],
    ['arn:amazon:iam::111122223333:role/b', /partitions aws, aws-cn, aws-us-gov/],
    ['EnclaveRole', /arn:aws:iam::<account>:role/],
    ['', /no ARN/],
  ] as const) {
    it(`refuses the role ${JSON.stringify(arn)}`, () =>
      assert.throws(() => rolePcrOf(arn), refusal('ROLE_ARN_INVALID', text)));
  }

  for (const id of [
    '',
    'i-',
    'i-0A22e5c5f24d22174',
    'i-0a22e5c5f24d2217',
    'i-0a22e5c5f24d22174 ',
    'i-0a22e5c5f24d22174\n',
    'm-12345678',
  ]) {
    it(`refuses the instance ${JSON.stringify(id)}`, () =>
      assert.throws(() => instancePcrOf(id), refusal('INSTANCE_ID_INVALID')));
  }
});
