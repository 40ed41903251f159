import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { EncryptCommand, GenerateRandomCommand, KMSClient, ListKeysCommand } from '@aws-sdk/client-kms';
import { Nsm } from '@enclaver/attestation/nsm';
import { KmsWorld } from './kms-harness.ts';
import { localOf, rejects, sdk, withFakeKms } from './kms-sdk.ts';

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
