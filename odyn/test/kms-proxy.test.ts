import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { connect } from 'node:net';
import {
  DecryptCommand,
  DeriveSharedSecretCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateRandomCommand,
  KMSClient,
  ListKeysCommand,
  SignCommand,
} from '@aws-sdk/client-kms';
import { Nsm } from '@enclaver/attestation/nsm';
import { openEnvelope } from '@enclaver/cms';
import type { Credentials } from '../src/kms/credentials/credentials.ts';
import type { Kms } from '../src/kms/kms.ts';
import { FakeServer } from './fake-server.ts';
import { linesOf, readLog, StatusReader, startOdyn } from './harness.ts';
import { attestedPolicy, INSTANCE, KmsWorld, pair, REGION } from './kms-harness.ts';

const SECRET = new TextEncoder().encode('for this image alone');

function localOf(kms: Kms): Credentials {
  const given = kms.forApp('/root');
  assert.ok(given !== undefined);
  return given.credentials;
}

/** The SDK as any app has it, with nothing set but the endpoint, the region and credentials. */
function sdk(world: KmsWorld, credentials: Credentials, more: { systemClockOffset?: number } = {}): KMSClient {
  return new KMSClient({ endpoint: world.endpoint, region: REGION, credentials, maxAttempts: 1, ...more });
}

const rejects = (call: Promise<unknown>, name: string, message = /./, status = 400): Promise<void> =>
  assert.rejects(call, (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
    assert.equal(error.name, name, error.message);
    assert.match(error.message, message);
    assert.equal(error.$metadata?.httpStatusCode, status);
    return true;
  });

/** A KMS whose answers are made by a function; the app's calls to it. */
async function withFakeKms(world: KmsWorld, answer: FakeServer['answer']) {
  const server = await new FakeServer(answer, pair).start();
  const kms = await world.openKms({ manifest: world.manifest(world.manifestFor(server.port)) });
  return { server, client: sdk(world, localOf(kms)) };
}

describe('KMS proxy: the five attested actions, with the unmodified SDK', () => {
  it('opens each answer into the field that the SDK reads', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const KeyId = world.emulator.keys.createSymmetric({ policy: attestedPolicy() }).arn;
    const agreement = world.emulator.keys.create({ usage: 'KEY_AGREEMENT', policy: attestedPolicy() }).arn;

    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext: SECRET }));
    const decrypted = await client.send(new DecryptCommand({ CiphertextBlob }));
    assert.deepEqual(Buffer.from(decrypted.Plaintext ?? []), Buffer.from(SECRET));
    assert.deepEqual([decrypted.KeyId, decrypted.CiphertextForRecipient], [KeyId, undefined]);

    const dataKey = await client.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }));
    const again = await client.send(new DecryptCommand({ CiphertextBlob: dataKey.CiphertextBlob }));
    assert.equal(dataKey.Plaintext?.length, 32);
    assert.deepEqual(again.Plaintext, dataKey.Plaintext);

    const keyPair = await client.send(new GenerateDataKeyPairCommand({ KeyId, KeyPairSpec: 'RSA_4096' }));
    assert.ok((keyPair.PrivateKeyPlaintext?.length ?? 0) > 2000);

    const random = await client.send(new GenerateRandomCommand({ NumberOfBytes: 1024 }));
    assert.equal(random.Plaintext?.length, 1024);

    const PublicKey = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    const shared = await client.send(
      new DeriveSharedSecretCommand({ KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey }),
    );
    assert.equal(shared.SharedSecret?.length, 48);
  });

  it('gives one document to many calls, and asks for one at a time', async () => {
    await using world = await KmsWorld.start();
    let documents = 0;
    const nsm = new Nsm(async (request) => {
      documents++;
      return world.simulator.request(request);
    });
    const client = sdk(world, localOf(await world.openKms({ nsm })));
    await Promise.all(Array.from({ length: 8 }, () => client.send(new GenerateRandomCommand({ NumberOfBytes: 8 }))));
    assert.equal(documents, 1);
  });

  it('leaves the Recipient of a caller that opens the answer itself', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const AttestationDocument = await world.nsm.attest({
      publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    });
    const Recipient = { AttestationDocument, KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const;
    const random = await client.send(new GenerateRandomCommand({ NumberOfBytes: 16, Recipient }));
    assert.equal(random.Plaintext, undefined);
    assert.equal((await openEnvelope(random.CiphertextForRecipient ?? new Uint8Array(), privateKey)).length, 16);
  });

  it('is refused by the key policy of another image, in the words of KMS', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const KeyId = world.emulator.keys.createSymmetric({ policy: attestedPolicy('d'.repeat(96)) }).arn;
    const { CiphertextBlob } = await client.send(new EncryptCommand({ KeyId, Plaintext: SECRET }));
    await rejects(client.send(new DecryptCommand({ CiphertextBlob })), 'AccessDeniedException', /kms:Decrypt/);
    await rejects(
      client.send(new DecryptCommand({ CiphertextBlob: Buffer.from('no ciphertext') })),
      'InvalidCiphertextException',
    );
  });
});

describe('KMS proxy: everything else', () => {
  it('is passed on, signed anew', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const { arn, id } = world.emulator.keys.createSymmetric();
    const signing = world.emulator.keys.create().arn;
    assert.deepEqual((await client.send(new ListKeysCommand())).Keys?.length, 2);
    assert.equal((await client.send(new DescribeKeyCommand({ KeyId: id }))).KeyMetadata?.Arn, arn);
    const Message = Buffer.from('m');
    const signed = await client.send(new SignCommand({ KeyId: signing, Message, SigningAlgorithm: 'ECDSA_SHA_384' }));
    assert.ok(signed.Signature);
    await rejects(client.send(new DescribeKeyCommand({ KeyId: 'alias/none' })), 'NotFoundException');
  });

  it('keeps headers, query, status and body, and none of the caller’s signature', async () => {
    await using world = await KmsWorld.start();
    let seen: Record<string, unknown> = {};
    const { server, client } = await withFakeKms(world, ({ method, url, headers }, body) => {
      seen = { method, url, body, ...headers };
      return { status: 200, headers: { 'x-amzn-requestid': 'r-1', 'x-other': 'kept' }, body: '{"Keys":[]}' };
    });
    const answer = await client.send(new ListKeysCommand({ Limit: 3 }));
    assert.equal(answer.$metadata.requestId, 'r-1');
    assert.equal(seen.body, '{"Limit":3}');
    assert.equal(seen['x-amz-target'], 'TrentService.ListKeys');
    assert.match(String(seen['user-agent']), /aws-sdk-js/);
    assert.equal(seen['x-amz-security-token'], INSTANCE.sessionToken);
    assert.match(String(seen.authorization), /Credential=ASIAINSTANCE00000001\/\d{8}\/us-east-1\/kms\/aws4_request/);
    assert.equal(seen.host, `host:${server.port}`);
    await server.close();
  });

  it('asks again when KMS has closed a kept connection meanwhile', async () => {
    await using world = await KmsWorld.start();
    const { server, client } = await withFakeKms(world, () => ({ status: 200, body: '{"Keys":[]}' }));
    for (let round = 0; round < 3; round++) {
      await client.send(new ListKeysCommand());
      assert.equal(world.parent.requests.filter(({ host }) => host === 'host').length, round + 1);
      server.closeConnections();
    }
    await server.close();
  });

  it('uses one connection for one call after the other', async () => {
    await using world = await KmsWorld.start();
    const { server, client } = await withFakeKms(world, () => ({ status: 200, body: '{"Keys":[]}' }));
    for (let round = 0; round < 3; round++) await client.send(new ListKeysCommand());
    assert.equal(world.parent.requests.filter(({ host }) => host === 'host').length, 1);
    await server.close();
  });

  it('streams an answer that is large', async () => {
    await using world = await KmsWorld.start();
    const Keys = Array.from({ length: 20_000 }, (_, number) => ({ KeyId: `key-${number}`, KeyArn: 'arn'.repeat(20) }));
    const { server, client } = await withFakeKms(world, () => ({ status: 200, body: JSON.stringify({ Keys }) }));
    assert.equal((await client.send(new ListKeysCommand())).Keys?.length, Keys.length);
    await server.close();
  });
});

describe('KMS proxy: whose requests are taken (D10)', () => {
  const call = (world: KmsWorld, credentials: Credentials, systemClockOffset = 0) =>
    sdk(world, credentials, { systemClockOffset }).send(new GenerateRandomCommand({ NumberOfBytes: 1 }));

  it('those of the local pair, of the image and of the instance, whether odyn has asked for these already or not', async () => {
    await using world = await KmsWorld.start();
    const image = { accessKeyId: 'placeholder', secretAccessKey: 'x' };
    const kms = await world.openKms({ env: { AWS_ACCESS_KEY_ID: 'placeholder', AWS_SECRET_ACCESS_KEY: 'x' } });
    await call(world, INSTANCE);
    await call(world, image);
    await call(world, localOf(kms));
    assert.deepEqual(world.emulator.asked, Array(3).fill('GenerateRandom'));
  });

  it('no others', async () => {
    await using world = await KmsWorld.start();
    const local = localOf(await world.openKms());
    await rejects(call(world, { ...local, secretAccessKey: 'wrong' }), 'InvalidSignatureException', /does not fit/);
    await rejects(call(world, { ...local, sessionToken: 'one too many' }), 'UnrecognizedClientException');
    await rejects(call(world, { ...INSTANCE, sessionToken: 'another' }), 'UnrecognizedClientException');
    const stranger = { accessKeyId: 'AKIASTRANGER00000000', secretAccessKey: 'x' };
    await rejects(call(world, stranger), 'UnrecognizedClientException', /ENCLAVER_KMS_ACCESS_KEY_ID/);
    assert.deepEqual(world.emulator.asked, []);
    // Once for the instance's, not again for each stranger
    assert.equal(world.metadata.asked.filter((line) => line.startsWith('PUT')).length, 1);
  });

  it('not when they were signed long ago, or are yet to be, and says by how much clocks differ', async () => {
    await using world = await KmsWorld.start();
    const local = localOf(await world.openKms());
    await rejects(
      call(world, local, -600_000),
      'InvalidSignatureException',
      /expired: \d{8}T\d{6}Z is (599|600|601) s ago/,
    );
    await rejects(
      call(world, local, 600_000),
      'InvalidSignatureException',
      /not yet current: .* is (599|600|601) s ahead/,
    );
    await call(world, local, 240_000);
  });

  it('logs nothing that was signed, and no secret', async () => {
    await using world = await KmsWorld.start();
    const local = localOf(await world.openKms());
    await call(world, local);
    await rejects(call(world, { ...local, secretAccessKey: 'wrong' }), 'InvalidSignatureException');
    world.metadata.answer = () => ({ status: 500 });
    assert.match(world.log, /kms call refused/);
    assert.doesNotMatch(world.log, /Signature=|Credential=|AWS4|x-amz-security/i);
    for (const secret of [local.secretAccessKey, INSTANCE.secretAccessKey, INSTANCE.sessionToken]) {
      assert.ok(!world.log.includes(secret));
    }
  });
});

describe('KMS proxy: what goes wrong is an answer (B-14)', () => {
  const random = (client: KMSClient) => client.send(new GenerateRandomCommand({ NumberOfBytes: 1 }));

  it('no credentials', async () => {
    await using world = await KmsWorld.start();
    const good = world.metadata.answer;
    world.metadata.answer = (request, body) =>
      request.method === 'PUT' ? good(request, body) : { status: 404, body: 'Not Found' };
    const client = sdk(world, localOf(await world.openKms()));
    await rejects(random(client), 'EnclaverCredentialsUnavailable', /the instance has no role.*docs\/kms\.md/, 503);
  });

  it('no KMS', async () => {
    await using world = await KmsWorld.start();
    const client = sdk(world, localOf(await world.openKms()));
    const elsewhere = new KMSClient({
      endpoint: world.endpoint,
      region: 'eu-west-1',
      credentials: await client.config.credentials(),
      maxAttempts: 1,
    });
    await rejects(
      random(elsewhere),
      'EnclaverKmsUnreachable',
      /kms\.eu-west-1\.amazonaws\.com.*Connection refused/,
      502,
    );
  });

  it('no attestation document', async () => {
    await using world = await KmsWorld.start();
    const nsm = new Nsm(async () => {
      throw new Error('no device');
    });
    const client = sdk(world, localOf(await world.openKms({ nsm })));
    await rejects(random(client), 'EnclaverAttestationFailed', /no device/, 500);
    await client.send(new ListKeysCommand());
  });

  it('an answer that is not for this enclave, or that breaks off', async () => {
    await using world = await KmsWorld.start();
    const { server, client } = await withFakeKms(world, () => ({ status: 200, body: '{"Plaintext":"AAAA"}' }));
    const invalid = 'EnclaverKmsAnswerInvalid';
    await rejects(random(client), invalid, /nothing sealed for this enclave/, 502);
    server.answer = () => ({ status: 200, body: '{"CiphertextForRecipient":"AAAA"}' });
    await rejects(random(client), invalid, /cannot be opened/, 502);
    server.answer = () => ({ status: 200, body: 'no JSON' });
    await rejects(random(client), invalid, /no JSON/, 502);
    server.answer = () => ({ status: 200, body: 'x'.repeat(100_000) });
    await rejects(random(client), invalid, /more than 65536 bytes/, 502);
    await server.close();
  });

  it('an error of KMS, byte for byte', async () => {
    await using world = await KmsWorld.start();
    const error = '{"__type":"com.amazonaws.kms#KeyUnavailableException",  "message":"later"}';
    const { server, client } = await withFakeKms(world, () => ({ status: 500, body: error }));
    await rejects(random(client), 'KeyUnavailableException', /^later$/, 500);
    await server.close();
  });

  it('a clock that differs from that of KMS, either way, in words', async () => {
    for (const [offset, words] of [
      [600_000, /Signature expired.*\(Enclaver: the enclave's clock is (599|600|601) s behind that of KMS\)/],
      [
        -600_000,
        /Signature not yet current.*\(Enclaver: the enclave's clock is (599|600|601) s ahead of that of KMS\)/,
      ],
    ] as const) {
      await using world = await KmsWorld.start({ now: () => new Date(Date.now() + offset) });
      const client = sdk(world, localOf(await world.openKms()));
      await rejects(random(client), 'InvalidSignatureException', words);
      assert.match(world.log, /clock differs from that of KMS/);
    }
  });

  it('bytes that are no request, too many of them, and a wish for another protocol', async () => {
    await using world = await KmsWorld.start();
    const local = localOf(await world.openKms());
    const large = new EncryptCommand({ KeyId: 'k', Plaintext: new Uint8Array(600_000) });
    await rejects(sdk(world, local).send(large), 'RequestEntityTooLargeException', /at most 524288/, 413);
    for (const [bytes, status] of [
      ['GET / HTTP/1.1\r\n\r\n', 400],
      ['nonsense\r\n\r\n', 400],
      ['CONNECT kms.us-east-1.amazonaws.com:443 HTTP/1.1\r\nHost: k\r\n\r\n', 400],
      [`GET / HTTP/1.1\r\nHost: k\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
      ['GET http://kms/ HTTP/1.1\r\nHost: k\r\n\r\n', 400],
      ['GET /?%zz HTTP/1.1\r\nHost: k\r\n\r\n', 400],
      ['POST / HTTP/1.1\r\nHost: k\r\nContent-Length: x\r\n\r\n', 400],
    ] as const) {
      const answer = await exchange(world.port, bytes);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), bytes);
      assert.match(answer, /x-amzn-errortype: (ValidationException|MissingAuthenticationTokenException)\r\n/i, bytes);
      assert.ok(JSON.parse(answer.split('\r\n\r\n')[1] ?? '').message, bytes);
    }
  });

  it('headers beyond ASCII are passed on, and end no connection (D10)', async () => {
    await using world = await KmsWorld.start();
    let agent = '';
    const { server, client } = await withFakeKms(world, ({ headers }) => {
      agent = Buffer.from(String(headers['x-note']), 'latin1').toString('utf8');
      return { status: 200, body: '{"Keys":[]}' };
    });
    client.middlewareStack.add(
      (next) => (context) => {
        (context.request as { headers: Record<string, string> }).headers['x-note'] =
          Buffer.from('grüße').toString('latin1');
        return next(context);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    await client.send(new ListKeysCommand());
    assert.equal(agent, 'grüße');
    await server.close();
  });
});

describe('KMS proxy: in an enclave', () => {
  it('is there for an app whose manifest opens nothing, and the app is told where (D9)', async () => {
    await using world = await KmsWorld.start();
    const spec = { argv: ['/bin/env'], manifest: world.manifestText };
    const { finished } = await startOdyn(world.parent, spec, { nsm: world.nsm });
    const status = await StatusReader.open(world.parent);
    const [log] = await Promise.all([readLog(world.parent), status.final(), finished]);
    const lines = linesOf(log, 'stdout');
    const value = (name: string): string =>
      lines.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
    assert.equal(value('AWS_ENDPOINT_URL_KMS'), world.endpoint);
    assert.equal(value('AWS_KMS_ENDPOINT'), world.endpoint);
    assert.match(value('AWS_ACCESS_KEY_ID'), /^ENCLAVER[0-9A-F]{12}$/);
    assert.equal(value('AWS_SECRET_ACCESS_KEY'), value('ENCLAVER_KMS_SECRET_ACCESS_KEY'));
    assert.equal(value('http_proxy'), '');
  });
});

/** What a server answers to these bytes before it closes. */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', reject).on('close', () => resolve(answer));
    socket.end(bytes);
  });
}
