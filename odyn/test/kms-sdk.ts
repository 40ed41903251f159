import assert from 'node:assert/strict';
import { KMSClient } from '@aws-sdk/client-kms';
import type { Credentials } from '../src/kms/credentials/credentials.ts';
import type { Kms } from '../src/kms/kms.ts';
import { FakeServer } from './fake-server.ts';
import { type KmsWorld, pair, REGION } from './kms-harness.ts';

export function localOf(kms: Kms): Credentials {
  const given = kms.forApp('/root');
  assert.ok(given !== undefined);
  return given.credentials;
}

/** The SDK as any app has it, with nothing set but the endpoint, the region and credentials. */
export function sdk(world: KmsWorld, credentials: Credentials, more: { systemClockOffset?: number } = {}): KMSClient {
  return new KMSClient({ endpoint: world.endpoint, region: REGION, credentials, maxAttempts: 1, ...more });
}

export const rejects = (call: Promise<unknown>, name: string, message = /./, status = 400): Promise<void> =>
  assert.rejects(call, (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
    assert.equal(error.name, name, error.message);
    assert.match(error.message, message);
    assert.equal(error.$metadata?.httpStatusCode, status);
    return true;
  });

/** A KMS whose answers are made by a function; the app's calls to it. */
export async function withFakeKms(world: KmsWorld, answer: FakeServer['answer']) {
  const server = await new FakeServer(answer, pair).start();
  const kms = await world.openKms({ manifest: world.manifest(world.manifestFor(server.port)) });
  return { server, client: sdk(world, localOf(kms)) };
}
