import assert from 'node:assert/strict';
import fc from 'fast-check';
import { kmsStatement, mergePolicy } from '../src/index.ts';
import { pcr, ROLE, ROOT, refusal } from './support.ts';

const statement = kmsStatement({ principal: ROLE, pcrs: { PCR0: pcr('a'), PCR1: pcr('b'), PCR2: pcr('c') } });
const newer = kmsStatement({ principal: ROLE, pcrs: { PCR0: pcr('1'), PCR1: pcr('b'), PCR2: pcr('2') } });
const root = {
  Sid: 'Root',
  Effect: 'Allow',
  Principal: { AWS: ROOT },
  Action: 'kms:*',
  Resource: '*',
  Unknown: [1.5, null],
};
const policyOf = (...statements: unknown[]) => ({ Version: '2012-10-17', Id: 'key-1', Statement: statements });
const indented = (value: unknown, indent: string | number) => JSON.stringify(value, null, indent);
const merged = (text: string, what = statement) => mergePolicy(text, what).after;

/** The text without the statement and what was put around it. */
function assertKept(before: string, after: string): void {
  let head = 0;
  while (head < before.length && before[head] === after[head]) head += 1;
  assert.equal(after.endsWith(before.slice(head)), true, 'the bytes behind the statement are those from before');
}

describe('merge into a key policy', () => {
  for (const [name, indent] of [
    ['two spaces', 2],
    ['four spaces', 4],
    ['tabs', '\t'],
  ] as const) {
    it(`adds the statement in the style of the policy: ${name}`, () => {
      const after = merged(`${indented(policyOf(root), indent)}\n`);
      assert.equal(after, `${indented(policyOf(root, statement), indent)}\n`);
    });
  }

  it('keeps a policy on one line on one line', () => {
    assert.equal(merged(JSON.stringify(policyOf(root))), JSON.stringify(policyOf(root, statement)));
  });

  it('keeps line ends of Windows', () => {
    const windows = (value: unknown) => indented(value, 2).replaceAll('\n', '\r\n');
    assert.equal(merged(windows(policyOf(root))), windows(policyOf(root, statement)));
  });

  it('makes a list of a statement that stands alone', () => {
    const alone = { Version: '2012-10-17', Statement: root };
    assert.deepEqual(JSON.parse(merged(JSON.stringify(alone))).Statement, [root, statement]);
    assert.deepEqual(JSON.parse(merged(indented(alone, 2))).Statement, [root, statement]);
  });

  it('fills an empty list', () => {
    assert.equal(merged(indented(policyOf(), 2)), indented(policyOf(statement), 2));
    assert.equal(merged(JSON.stringify(policyOf())), JSON.stringify(policyOf(statement)));
  });

  it('replaces the statement with its Sid and no other byte', () => {
    const odd = `{ "Statement" :\n [ ${JSON.stringify(root)} , ${indented(statement, 1)},\n\t{"Sid":"x","Effect":"Deny","Principal":"*","Action":"kms:ScheduleKeyDeletion","Resource":"*"} ] ,"Version":"2012-10-17"}`;
    const after = merged(odd, newer);
    assert.deepEqual(JSON.parse(after).Statement[1], newer);
    const at = odd.indexOf('"EnclaverAttested"');
    assert.equal(after.slice(0, at - 20), odd.slice(0, at - 20));
    assert.ok(after.endsWith(odd.slice(odd.indexOf(',\n\t{"Sid"'))));
  });

  it('leaves the same statement as it is written', () => {
    const { Condition, ...rest } = statement;
    const text = `{\n  "Statement": [ ${JSON.stringify({ Condition, ...rest })} ]\n}`;
    assert.equal(merged(text), text);
  });

  it('keeps a second statement of ours that has another label', () => {
    const next = kmsStatement({ principal: ROLE, pcrs: { PCR0: pcr('1') }, label: 'Next' });
    const both = merged(merged(indented(policyOf(root), 2)), next);
    assert.deepEqual(JSON.parse(both).Statement, [root, statement, next]);
    assert.deepEqual(JSON.parse(merged(both, newer)).Statement, [root, newer, next]);
  });

  it('keeps conditions of ours that are not about attestation', () => {
    const bound = {
      ...statement,
      Condition: {
        StringEqualsIgnoreCase: { ...statement.Condition.StringEqualsIgnoreCase, 'kms:EncryptionContext:app': 'a' },
        StringEquals: { 'kms:ViaService': 'x', 'kms:RecipientAttestation:ImageSha384': pcr('9') },
      },
    };
    const after = JSON.parse(merged(indented(policyOf(bound), 2), newer)).Statement[0];
    assert.deepEqual(after.Condition, {
      StringEqualsIgnoreCase: { ...newer.Condition.StringEqualsIgnoreCase, 'kms:EncryptionContext:app': 'a' },
      StringEquals: { 'kms:ViaService': 'x' },
    });
  });

  it('reads what `aws kms get-key-policy` prints', () => {
    const inner = indented(policyOf(root), 2);
    const { before, after } = mergePolicy(JSON.stringify({ Policy: inner, PolicyName: 'default' }), statement);
    assert.equal(before, inner);
    assert.equal(after, indented(policyOf(root, statement), 2));
  });

  it('changes nothing the second time, and nothing else the first time, whatever else the policy holds', () => {
    const sid = fc.string().filter((text) => !text.startsWith('EnclaverAttested'));
    const other = fc.record({
      Sid: sid,
      Effect: fc.constantFrom('Allow', 'Deny'),
      Principal: fc.oneof(fc.constant('*'), fc.record({ AWS: fc.oneof(fc.string(), fc.array(fc.string())) })),
      Action: fc.oneof(fc.string(), fc.array(fc.string())),
      Extra: fc.jsonValue({ maxDepth: 3 }),
    });
    const indents = fc.constantFrom<string | number>(0, 1, 2, 4, '\t');
    fc.assert(
      fc.property(fc.array(other, { maxLength: 4 }), fc.boolean(), indents, (others, present, indent) => {
        const old = present ? [...others, statement] : others;
        const before = JSON.stringify(policyOf(...old), null, indent);
        const after = merged(before, newer);
        assert.deepEqual(JSON.parse(after), JSON.parse(JSON.stringify(policyOf(...others, newer))));
        assert.equal(merged(after, newer), after);
        if (!present) assertKept(before, after);
      }),
    );
  });

  for (const [name, text, pattern] of [
    ['no JSON', '{', /not JSON/],
    ['a list', '[]', /.*/],
    ['no Statement', '{}', /Statement/],
    ['another Effect', JSON.stringify(policyOf({ Effect: 'Maybe' })), /Effect/],
    ['a key twice', '{"Statement":[],"Statement":[]}', /"Statement" comes twice/],
    ['our Sid twice', JSON.stringify(policyOf(statement, statement)), /2 statements/],
    ['a string that is no policy', '{"Policy":"{"}', /not JSON/],
  ] as const) {
    it(`refuses ${name}`, () => assert.throws(() => merged(text), refusal('POLICY_INVALID', pattern)));
  }

  it('refuses a policy that KMS would not take', () => {
    const large = JSON.stringify(policyOf({ ...root, Sid: 'x'.repeat(32_000) }));
    assert.throws(() => merged(large), refusal('POLICY_TOO_LARGE', /at most 32768/));
    assert.throws(() => merged(' '.repeat(200_000)), refusal('POLICY_TOO_LARGE'));
  });
});
