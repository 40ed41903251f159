import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { chmod, readdir, readFile, symlink, truncate } from 'node:fs/promises';
import { workplace, writeApp } from './trust-support.ts';

const ROLE = 'arn:aws:iam::123456789012:role/EnclaveRole';
/** PCR3 of that role (vectors of libs/trust). */
const PCR3 = 'b4fe82b6558b027687d079676b22dd3532bc9c7e5e2af8afc58d92611e6cce28ebbd81770121a056fc1b0ecf172e0164';
const policy = {
  Version: '2012-10-17',
  Statement: [
    {
      Sid: 'Root',
      Effect: 'Allow',
      Principal: { AWS: 'arn:aws:iam::123456789012:root' },
      Action: 'kms:PutKeyPolicy',
      Resource: '*',
    },
  ],
};
const policyText = `${JSON.stringify(policy, null, 4)}\n`;

describe('enclaver trust', function () {
  this.timeout(60_000);

  it('prints what the bytes of a file measure, and starts no stack', async () => {
    await using place = await workplace();
    const measured = await writeApp(place.file('signed.eif'), 'app', true);
    const { code, stdout, stderr } = await place.enclaver('trust', 'signed.eif', '-o', 'json');
    assert.deepEqual([code, stderr], [0, '']);
    assert.deepEqual(JSON.parse(stdout), { Measurements: { HashAlgorithm: 'Sha384 { ... }', ...measured } });
    assert.match(measured.PCR8 ?? '', /^[0-9a-f]{96}$/);
  });

  it('asks the bus for an image', async () => {
    await using place = await workplace();
    const { code, stderr } = await place.enclaver('trust', 'some/image:1');
    assert.equal(code, 1);
    assert.match(stderr, /error\[BUS_CREDENTIALS_INVALID\]/);
  });

  it('shows a table of values, meanings and predictions', async () => {
    await using place = await workplace();
    const instance = 'i-0a22e5c5f24d22174';
    const { code, stdout } = await place.enclaver('trust', 'app.eif', '--role-arn', ROLE, '--instance-id', instance);
    assert.equal(code, 0);
    assert.match(stdout, /^REGISTER +VALUE\nPCR0 +[0-9a-f]{96}\nPCR1 .*\nPCR2 .*\n/);
    assert.match(stdout, new RegExp(`PCR3 +${PCR3}`));
    assert.match(stdout, /PCR4 +45706d7b621e4620/);
    assert.match(stdout, /MEASURES +CHANGES WITH +ZERO WHEN/);
    assert.doesNotMatch(stdout, /PCR8/);
  });

  it('refuses a damaged file, and a missing one', async () => {
    await using place = await workplace();
    assert.match((await place.enclaver('trust', 'none.eif')).stderr, /error\[EIF_NOT_FOUND\]/);
    await truncate(place.file('app.eif'), 700);
    const { code, stdout, stderr } = await place.enclaver('trust', 'app.eif');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /error\[EIF_/);
  });

  it('prints a statement that can be pasted', async () => {
    await using place = await workplace();
    const { code, stdout } = await place.enclaver(
      'trust',
      'app.eif',
      '--kms',
      '--role-arn',
      ROLE,
      '--registers',
      '1,2,3',
      '--actions',
      'Decrypt',
    );
    assert.equal(code, 0);
    const { Principal, Action, Condition } = JSON.parse(stdout);
    assert.deepEqual([Principal, Action], [{ AWS: ROLE }, ['kms:Decrypt']]);
    assert.equal(Condition.StringEqualsIgnoreCase['kms:RecipientAttestation:PCR3'], PCR3);
    assert.equal(Object.keys(Condition.StringEqualsIgnoreCase).length, 3);
  });

  for (const [args, code, text] of [
    [['--kms'], 2, /USAGE.*who may use the key/],
    [['--merge', 'policy.json'], 2, /USAGE.*--merge was given without --kms/],
    [['--kms', '--principal', ROLE, '--write'], 2, /USAGE.*without --merge/],
    [['--kms', '--principal', ROLE, '--registers', '5'], 2, /Allowed are 0, 1, 2, 3, 4 and 8/],
    [['--kms', '--principal', ROLE, '--actions', 'Encrypt'], 2, /Only these take an attestation document/],
    [['--kms', '--principal', ROLE, '--registers', '8'], 1, /REGISTERS_INVALID.*PCR8 has no value/],
    [['--role-arn', 'arn:aws:sts::123456789012:assumed-role/A/b'], 1, /ROLE_ARN_INVALID/],
    [['--instance-id', 'i-1'], 1, /INSTANCE_ID_INVALID/],
    [['--kms', '--principal', ROLE, '--merge', 'none.json'], 1, /POLICY_UNREADABLE/],
  ] as const) {
    it(`refuses ${args.join(' ')}`, async () => {
      await using place = await workplace();
      const result = await place.enclaver('trust', 'app.eif', ...args);
      assert.deepEqual([result.code, result.stdout], [code, '']);
      assert.match(result.stderr, text);
    });
  }
});

describe('enclaver trust --kms --merge', function () {
  this.timeout(60_000);
  const merge = ['trust', 'app.eif', '--kms', '--principal', ROLE, '--merge', 'policy.json'];

  it('prints the policy, and the difference apart from it', async () => {
    await using place = await workplace();
    await place.write('policy.json', policyText);
    const { code, stdout, stderr } = await place.enclaver(...merge);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout).Statement[0], policy.Statement[0]);
    assert.match(stderr, /^--- policy\.json\n\+\+\+ policy\.json \(merged\)\n@@ -\d+,\d+ \+\d+,\d+ @@\n/);
    assert.equal(await readFile(place.file('policy.json'), 'utf8'), policyText);
    // patch(1) is the judge of the difference
    await place.write('difference', stderr);
    assert.equal((await place.sh('patch -s policy.json difference')).code, 0);
    assert.equal(await readFile(place.file('policy.json'), 'utf8'), stdout);
  });

  it('writes it back once, whole, through a link and with its mode', async () => {
    await using place = await workplace();
    await chmod(await place.write('real.json', policyText), 0o640);
    await symlink('real.json', place.file('policy.json'));
    assert.equal((await place.enclaver(...merge, '--write')).code, 0);
    const written = readFileSync(place.file('real.json'), 'utf8');
    assert.equal(JSON.parse(written).Statement.length, 2);
    assert.equal(statSync(place.file('real.json')).mode & 0o777, 0o640);
    const inode = statSync(place.file('real.json')).ino;
    const second = await place.enclaver(...merge, '--write');
    assert.deepEqual([second.code, second.stdout], [0, '']);
    assert.match(second.stderr, /has the statement already/);
    assert.equal(statSync(place.file('real.json')).ino, inode);
    assert.deepEqual((await readdir(place.file('.'))).sort(), ['app.eif', 'policy.json', 'real.json']);
  });

  it('leaves a policy alone that it cannot read', async () => {
    await using place = await workplace();
    await place.write('policy.json', '{"Statement": [');
    const { code, stdout, stderr } = await place.enclaver(...merge, '--write');
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /error\[POLICY_INVALID\]/);
    assert.equal(await readFile(place.file('policy.json'), 'utf8'), '{"Statement": [');
  });
});

describe('enclaver trust lint', function () {
  this.timeout(60_000);

  it('ends with 0 where there are notes only', async () => {
    await using place = await workplace();
    await place.write('policy.json', policyText);
    await place.enclaver('trust', 'app.eif', '--kms', '--principal', ROLE, '--merge', 'policy.json', '--write');
    const { code, stdout } = await place.enclaver('trust', 'lint', 'policy.json', 'app.eif');
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^note\[account-can-change-policy\] statement 1 \("Root"\): .*\n +why: .*\n +help: .*\n0 errors, 0 warnings, 1 note\n$/,
    );
  });

  it('ends with 1 for another image, and says it to programs', async () => {
    await using place = await workplace();
    await place.write('policy.json', policyText);
    await place.enclaver('trust', 'app.eif', '--kms', '--principal', ROLE, '--merge', 'policy.json', '--write');
    await writeApp(place.file('other.eif'), 'another');
    const { code, stdout } = await place.enclaver('trust', 'lint', 'policy.json', 'other.eif', '-o', 'json');
    assert.equal(code, 1);
    const { findings, ...counts } = JSON.parse(stdout);
    assert.deepEqual(counts, { errors: 1, warnings: 1, notes: 1 });
    assert.deepEqual(
      findings.map(({ id }: { id: string }) => id),
      ['image-not-allowed', 'stale-measurement', 'account-can-change-policy'],
    );
    assert.match(findings[1].found, /^PCR0, PCR2 /);
    assert.deepEqual(findings[1].statement, { index: 1, sid: 'EnclaverAttested' });
  });

  it('ends with 1 for a file that is no policy', async () => {
    await using place = await workplace();
    await place.write('policy.json', '[]');
    const { code, stderr } = await place.enclaver('trust', 'lint', 'policy.json');
    assert.equal(code, 1);
    assert.match(stderr, /error\[POLICY_INVALID\]/);
  });
});

describe('commands of docs/trust.md', function () {
  this.timeout(120_000);

  it('run as they stand there', async () => {
    await using place = await workplace();
    await place.write('policy.json', policyText);
    const markdown = await readFile(new URL('../../docs/trust.md', import.meta.url), 'utf8');
    const blocks = [...markdown.matchAll(/```sh\n(.*?)```/gs)].map(([, script = '']) => script);
    assert.ok(blocks.length >= 6);
    const { code, stderr } = await place.sh(blocks.join('\n'));
    assert.equal(code, 0, stderr);
    const { Statement } = JSON.parse(await readFile(place.file('policy.json'), 'utf8'));
    assert.deepEqual(
      Statement.map(({ Sid }: { Sid: string }) => Sid),
      ['Root', 'EnclaverAttested', 'EnclaverAttestedNext'],
    );
  });
});
