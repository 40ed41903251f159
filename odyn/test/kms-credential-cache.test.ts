import assert from 'node:assert/strict';
import { findsNoCredentials } from '../src/kms/app-credentials.ts';
import { CredentialCache } from '../src/kms/credentials/credential-cache.ts';
import type { Credentials } from '../src/kms/credentials/credentials.ts';
import { KmsError } from '../src/kms/kms-error.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';

const refuses = (call: Promise<unknown>, message: RegExp): Promise<void> =>
  assert.rejects(call, (error) => {
    assert.ok(error instanceof KmsError && error.code === 'KMS_CREDENTIALS', String(error));
    assert.match(`${error.message} (${error.remedy})`, message);
    return true;
  });

describe('credentials, held', () => {
  const T0 = Date.parse('2026-01-15T12:00:00Z');
  const minutes = (count: number): number => count * 60_000;

  function setUp() {
    let now = T0;
    let fetches = 0;
    let answer = async (): Promise<Credentials> => credentials('first', 60);
    const credentials = (accessKeyId: string, left: number): Credentials => ({
      accessKeyId,
      secretAccessKey: 's',
      expiration: new Date(now + minutes(left)),
    });
    const source = {
      name: 'a test',
      fetch: () => {
        fetches++;
        return answer();
      },
    };
    const cache = new CredentialCache(source, new OdynLog(new LogRing(1 << 18)), () => now);
    return {
      cache,
      credentials,
      fetches: () => fetches,
      pass: (count: number) => {
        now += minutes(count);
      },
      answerWith: (next: typeof answer) => {
        answer = next;
      },
      id: async () => (await cache.get()).accessKeyId,
    };
  }

  it('are fetched once for many calls, and again when less than five minutes are left', async () => {
    const test = setUp();
    assert.deepEqual(await Promise.all([test.id(), test.id(), test.id()]), ['first', 'first', 'first']);
    test.pass(54);
    await test.id();
    assert.equal(test.fetches(), 1);
    test.answerWith(async () => test.credentials('second', 60));
    test.pass(2);
    // The call under way does not wait for them
    assert.equal(await test.id(), 'first');
    await new Promise(setImmediate);
    assert.equal(await test.id(), 'second');
    assert.equal(test.fetches(), 2);
    assert.equal(test.cache.find('first')?.accessKeyId, 'first');
    assert.equal(test.cache.find('third'), undefined);
  });

  it('are used while fetching fails, as long as they are valid, and then no more', async () => {
    const test = setUp();
    await test.id();
    test.answerWith(async () => {
      throw new KmsError('KMS_CREDENTIALS', 'not now');
    });
    test.pass(56);
    for (let call = 0; call < 5; call++) assert.equal(await test.id(), 'first');
    await new Promise(setImmediate);
    assert.equal(await test.id(), 'first');
    // Not at each call
    assert.equal(test.fetches(), 2);
    test.pass(4);
    await refuses(test.cache.get(), /not now/);
    test.answerWith(async () => test.credentials('second', -1));
    await refuses(test.cache.get(), /have expired.*clock/);
    test.answerWith(async () => test.credentials('second', 60));
    assert.equal(await test.id(), 'second');
  });
});

describe('credentials of the app', () => {
  const none = (): boolean => false;
  const egress = (allow: string[]) => ({ proxyPort: 1, allow, deny: [] }) as never;

  it('are the local pair where an SDK would find none', () => {
    assert.ok(findsNoCredentials({}, undefined, none));
    assert.ok(findsNoCredentials({ AWS_REGION: 'us-east-1' }, egress(['**', '0.0.0.0/0']), none));
    assert.ok(findsNoCredentials({ AWS_EC2_METADATA_DISABLED: 'true' }, egress(['169.254.169.254']), none));
    assert.ok(!findsNoCredentials({}, egress(['169.254.169.254']), none));
    assert.ok(!findsNoCredentials({ AWS_ACCESS_KEY_ID: 'x' }, undefined, none));
    assert.ok(!findsNoCredentials({ AWS_CONTAINER_CREDENTIALS_FULL_URI: 'x' }, undefined, none));
    assert.ok(!findsNoCredentials({}, undefined, (name) => name === '.aws/credentials'));
  });
});
