import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CmsError, openEnvelope } from '@enclaver/cms';
import { OwnDialer } from '../src/egress/own-dialer.ts';
import { isAttested, openAnswer, withRecipient } from '../src/kms/attested-action.ts';
import { checkCaller } from '../src/kms/caller/caller-check.ts';
import { receive } from '../src/kms/caller/received-request.ts';
import { endpointOptions, kmsDestinations, kmsEndpoint } from '../src/kms/endpoints.ts';
import type { Json } from '../src/kms/json.ts';
import { signerFor } from '../src/kms/signer.ts';
import { FakeServer } from './fake-server.ts';
import { KmsWorld, pair, REGION } from './kms-harness.ts';

async function vectors<Vectors>(path: string): Promise<Vectors> {
  return JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8')) as Vectors;
}

interface SignatureCase {
  name: string;
  access_key_id: string;
  secret_access_key: string;
  session_token: string | null;
  date: string;
  region: string;
  service: string;
  method: string;
  path: string;
  query: string;
  headers_signed: Record<string, string>;
  body_text: string;
  signature: string;
  authorization: string;
}

const timeOf = (date: string): Date =>
  new Date(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));

const { cases: signatures } = await vectors<{ cases: SignatureCase[] }>('vectors/kms/sigv4.json');

describe('KMS vectors: signatures', () => {
  for (const each of signatures) {
    const credentials = {
      accessKeyId: each.access_key_id,
      secretAccessKey: each.secret_access_key,
      ...(each.session_token === null ? {} : { sessionToken: each.session_token }),
    };
    const signers = { find: async (id: string) => (id === each.access_key_id ? credentials : undefined) };
    const time = timeOf(each.date);
    const received = (changes: { authorization?: string; body?: string; target?: string } = {}) => {
      const { authorization = each.authorization, body = each.body_text, target = each.path } = changes;
      const headers = Object.entries({ ...each.headers_signed, Authorization: authorization }).flat();
      return receive(each.method, target, headers, Buffer.from(body));
    };

    it(`${each.name}: ours is the same`, async () => {
      const headers = Object.fromEntries(
        Object.entries(each.headers_signed).map(([name, value]) => [name.toLowerCase(), value]),
      );
      const request = { protocol: 'https:', hostname: '', method: each.method, path: each.path, headers };
      const signed = await signerFor(credentials, each.region).sign(
        { ...request, body: each.body_text },
        { signingDate: time },
      );
      assert.equal(signed.headers.authorization, each.authorization);
    });

    it(`${each.name}: is taken as it is, and in no other way`, async () => {
      assert.equal(await checkCaller(received(), signers, time.getTime()), each.region);
      const other = each.signature.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
      for (const changed of [
        received({ body: `${each.body_text} ` }),
        received({ target: `${each.path}?a` }),
        received({ authorization: each.authorization.replace(each.signature, other) }),
      ]) {
        await assert.rejects(checkCaller(changed, signers, time.getTime()), { type: 'InvalidSignatureException' });
      }
    });
  }
});

interface Endpoints {
  cases: { region: string; fips: boolean; dual_stack: boolean; host: string }[];
  not_kms_hosts: string[];
}

const endpoints = await vectors<Endpoints>('vectors/kms/endpoints.json');

describe('KMS vectors: endpoints', () => {
  it('have the host of their partition, which the dialler lets through', async () => {
    await using world = await KmsWorld.start();
    const dialer = new OwnDialer(world.parent.transport, kmsDestinations(endpointOptions({}, {})));
    for (const { region, fips, dual_stack: dualStack, host } of endpoints.cases) {
      assert.equal(kmsEndpoint(region, { overrides: {}, fips, dualStack }), host);
      await assert.rejects(dialer.connect(host, 443, AbortSignal.timeout(5_000)), /Connection refused/);
    }
    for (const host of [...endpoints.not_kms_hosts, 'kms.us-east-1.amazonaws.com:443', '169.254.169.254', 'host']) {
      await assert.rejects(dialer.connect(host, 443, AbortSignal.timeout(5_000)), /none of the destinations/, host);
    }
    await assert.rejects(dialer.connect('kms.us-east-1.amazonaws.com', 80, AbortSignal.timeout(5_000)), /none of/);
    assert.equal(world.parent.requests.length, endpoints.cases.length);
  });

  it('follow the environment and the manifest, and a region cannot be more than a label', () => {
    const env = { AWS_USE_FIPS_ENDPOINT: 'true', AWS_USE_DUALSTACK_ENDPOINT: 'TRUE' };
    const options = endpointOptions(env, { 'eu-west-1': 'kms.internal:8443' });
    assert.equal(kmsEndpoint('us-east-1', options), 'kms-fips.us-east-1.api.aws');
    assert.equal(kmsEndpoint('eu-west-1', options), 'kms.internal:8443');
    assert.equal(kmsEndpoint('xx-new-1', endpointOptions({}, {})), 'kms.xx-new-1.amazonaws.com');
    for (const region of ['evil.test/', 'us-east-1.evil', '', 'toString', 'us-iso-east-1', 'a-'.repeat(40)]) {
      assert.throws(() => kmsEndpoint(region, options), { code: 'KMS_ENDPOINT' }, region);
    }
  });
});

interface Operations {
  operations: { op: string; plain_field: string; request: Json; answer: Json }[];
  pass_through_operations: string[];
  errors: { status: number; body: Json }[];
}

const operations = await vectors<Operations>('vectors/kms/operations.json');
const cms = '../../libs/cms/test/vectors';
const { cases: real } = await vectors<{
  cases: { ciphertext_for_recipient_b64: string; private_key_pkcs8_pem: string | null; plaintext_hex: string | null }[];
}>(`${cms}/real.json`);
const synthetic = await vectors<{
  private_key_pkcs8_pem: string;
  cases: { name: string; ciphertext_for_recipient_b64: string; expect: string; plaintext_hex: string | null }[];
}>(`${cms}/synthetic.json`);

/** Envelopes, each with its key and what is in it: undefined where it must not open. */
const envelopes = [
  ...real.flatMap(({ ciphertext_for_recipient_b64: sealed, private_key_pkcs8_pem: key, plaintext_hex: plaintext }) =>
    key === null ? [] : [{ sealed, key, plaintext }],
  ),
  ...synthetic.cases
    // Others than KMS would send one whose recipient is named in another way; libs/cms has decided to refuse it
    .filter(({ name }) => name !== 'ski-not-sha256-of-spki')
    .map(({ ciphertext_for_recipient_b64: sealed, plaintext_hex: plaintext }) => ({
      sealed,
      key: synthetic.private_key_pkcs8_pem,
      plaintext,
    })),
];

describe('KMS vectors: operations', () => {
  for (const { op, plain_field: field, request, answer } of operations.operations) {
    it(`${op}: asks with Recipient, and gives ${field} back`, async () => {
      const recipient = { AttestationDocument: 'AAEC', KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const;
      assert.ok(isAttested(op));
      assert.deepEqual(withRecipient(request, recipient), { ...request, Recipient: recipient });
      assert.deepEqual(withRecipient({ ...request, Recipient: null }, recipient)?.Recipient, recipient);
      assert.equal(withRecipient({ ...request, Recipient: {} }, recipient), undefined);
      for (const { sealed, key, plaintext } of envelopes) {
        const privateKey = createPrivateKey(key);
        const open = (text: string) => openEnvelope(Buffer.from(text, 'base64'), privateKey);
        for (const plain of [{}, { [field]: null }, { [field]: '' }]) {
          const { CiphertextForRecipient: _, ...others } = answer;
          const opened = openAnswer(op, { ...answer, ...plain, CiphertextForRecipient: sealed }, { open });
          if (plaintext === null) await assert.rejects(opened, CmsError);
          else assert.deepEqual(await opened, { ...others, [field]: Buffer.from(plaintext, 'hex').toString('base64') });
        }
      }
    });
  }

  it('are attested when KMS can, and no others', () => {
    for (const op of operations.pass_through_operations) assert.equal(isAttested(op), false, op);
  });

  it('pass errors on unchanged', async () => {
    await using world = await KmsWorld.start();
    const server = await new FakeServer(() => undefined, pair).start();
    const kms = await world.openKms({ manifest: world.manifest(world.manifestFor(server.port)) });
    const credentials = kms.forApp('/root')?.credentials;
    assert.ok(credentials !== undefined);
    for (const { status, body } of operations.errors) {
      server.answer = () => ({ status, body: JSON.stringify(body) });
      const { headers } = await signerFor(credentials, REGION).sign({
        protocol: 'http:',
        hostname: '127.0.0.1',
        method: 'POST',
        path: '/',
        headers: { host: `127.0.0.1:${world.port}`, 'x-amz-target': 'TrentService.Decrypt' },
        body: '{}',
      });
      const answer = await fetch(world.endpoint, { method: 'POST', headers, body: '{}' });
      assert.equal(answer.status, status);
      assert.deepEqual(await answer.json(), body);
    }
    await server.close();
  });
});
