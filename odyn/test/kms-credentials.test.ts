import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EGRESS_PORT } from '@enclaver/wire';
import { OwnDialer } from '../src/egress/own-dialer.ts';
import { OwnHttp } from '../src/egress/own-http.ts';
import { MetadataService } from '../src/kms/credentials/metadata-service.ts';
import { credentialDestinations, credentialSource, type Environment } from '../src/kms/credentials/source.ts';
import { KmsError } from '../src/kms/kms-error.ts';
import { limits } from '../src/limits.ts';
import { FakeServer } from './fake-server.ts';
import { INSTANCE, KmsWorld, pair } from './kms-harness.ts';

interface Exchange {
  request: { method: string; path: string; headers: Record<string, string> };
  answer: { status: number; headers?: Record<string, string>; body: string };
}
interface Failure {
  when: string;
  request_path?: string;
  status: number | null;
  body?: string;
}
const vectors = JSON.parse(await readFile(new URL('vectors/imds/imdsv2.json', import.meta.url), 'utf8')) as {
  exchange: Exchange[];
  failures: Failure[];
};
const failure = (when: string): Failure => {
  const found = vectors.failures.find((each) => each.when === when);
  assert.ok(found !== undefined, when);
  return found;
};

/** The exchange of the vectors, with the last credentials good for an hour more. */
const [tokenExchange] = vectors.exchange;
const answers: FakeServer['answer'] = ({ method, url, headers }) => {
  const found = vectors.exchange.find(({ request }) => request.method === method && request.path === url);
  if (found === undefined) return { status: 404 };
  const given = Object.entries(found.request.headers).every(([name, value]) => {
    return headers[name.toLowerCase()] === value.replace('<token>', tokenExchange?.answer.body ?? '');
  });
  return given ? { status: found.answer.status, body: found.answer.body } : { status: 401 };
};

/** odyn's own client, with this environment's destinations. */
const httpOf = (world: KmsWorld, env: Environment = {}, ca?: string): OwnHttp =>
  new OwnHttp(new OwnDialer(world.parent.transport, credentialDestinations(env)), { ca });
const noFile = (): never => assert.fail('no file is read');

const refuses = (call: Promise<unknown>, message: RegExp): Promise<void> =>
  assert.rejects(call, (error) => {
    assert.ok(error instanceof KmsError && error.code === 'KMS_CREDENTIALS', String(error));
    assert.match(`${error.message} (${error.remedy})`, message);
    return true;
  });

describe('metadata service', () => {
  let world: KmsWorld;
  let service: MetadataService;

  beforeEach(async () => {
    world = await KmsWorld.start();
    world.metadata.answer = answers;
    service = new MetadataService(httpOf(world), new URL('http://169.254.169.254'));
  });
  afterEach(() => world[Symbol.asyncDispose]());

  it('gives credentials and region, asked in the order of version 2', async () => {
    assert.deepEqual(await service.fetch(), {
      accessKeyId: 'ASIAEXAMPLE0000000000',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      sessionToken: 'IQoJb3JpZ2luX2VjEXAMPLETOKEN',
      expiration: new Date('2026-01-15T18:04:03Z'),
    });
    assert.equal(await service.region(), 'eu-west-1');
    const asked = vectors.exchange.map(({ request }) => `${request.method} ${request.path}`);
    assert.deepEqual(world.metadata.asked, asked.slice(0, 4));
  });

  it('parent that takes a connection and says nothing: it is given up in the time for one request', async () => {
    world.parent.services.set(EGRESS_PORT, (socket) => socket.resume());
    const begun = performance.now();
    await refuses(service.fetch(), /./);
    assert.ok(performance.now() - begun < limits.ownConnectMs);
  });

  it('server that changes to another protocol unasked: is refused, and asked again later', async () => {
    const strange = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
      );
    }).listen(0, '127.0.0.1');
    await once(strange, 'listening');
    const { answer } = world.parent;
    const to = (strange.address() as AddressInfo).port;
    world.parent.answer = () => ({ reply: { Ok: { address: '169.254.169.254' } }, to });
    await refuses(service.fetch(), /no answer/);
    world.parent.answer = answer;
    assert.equal((await service.fetch()).accessKeyId, 'ASIAEXAMPLE0000000000');
    strange.close();
  });

  it('parent that takes any number of connections: no more are asked for at a time than the bound, and all end', async () => {
    let open = 0;
    world.parent.services.set(EGRESS_PORT, (socket) => {
      open += 1;
      socket.resume();
    });
    const over = new AbortController();
    const environments: Environment[] = [{}, { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/role' }];
    const all = environments.flatMap(credentialDestinations);
    const http = new OwnHttp(new OwnDialer(world.parent.transport, all));
    const asked = { method: 'GET', url: new URL('http://169.254.169.254/'), headers: {} };
    const calls = Array.from({ length: 2 * limits.ownConnections }, () =>
      http.send(asked, over.signal).catch((error: unknown) => error),
    );
    while (open < limits.ownConnections) await sleep(5);
    await sleep(100);
    assert.equal(open, limits.ownConnections);
    // Another server is asked all the same
    calls.push(
      http.send({ ...asked, url: new URL('http://169.254.170.2/') }, over.signal).catch((error: unknown) => error),
    );
    while (open === limits.ownConnections) await sleep(5);
    const reason = new Error('enough');
    over.abort(reason);
    assert.deepEqual(new Set(await Promise.all(calls)), new Set([reason]));
  });

  it('no role attached: is said', async () => {
    const { status, request_path: path } = failure('no role attached');
    world.metadata.answer = (request, body) =>
      request.url === path ? { status: status ?? 0, body: 'Not Found' } : answers(request, body);
    await refuses(service.fetch(), /the instance has no role/);
  });

  it('token expired or missing: a new one is fetched once', async () => {
    await service.fetch();
    let tokens = 0;
    world.metadata.answer = (request, body) => {
      if (request.method === 'PUT') tokens++;
      return request.method === 'PUT' || tokens > 0 ? answers(request, body) : { status: 401 };
    };
    await service.fetch();
    assert.equal(tokens, 1);
    world.metadata.answer = (request, body) => (request.method === 'PUT' ? answers(request, body) : { status: 401 });
    world.metadata.asked.length = 0;
    await refuses(service.fetch(), /status 401/);
    assert.equal(world.metadata.asked.filter((line) => line.startsWith('PUT')).length, 1);
  });

  it('role being changed: is said with its code, and no credentials are taken', async () => {
    const { body: changing = '' } = failure('role being changed');
    world.metadata.answer = (request, body) =>
      request.url?.endsWith('/EnclaveRole') ? { status: 200, body: changing } : answers(request, body);
    await refuses(service.fetch(), /AssumeRoleUnauthorizedAccess EC2 cannot assume the role R\..*trust policy/);
  });

  it('two lines in the role list: the first is used', async () => {
    const { body: roles = '' } = failure('two lines in the role list');
    world.metadata.answer = (request, body) => {
      if (request.url === '/latest/meta-data/iam/security-credentials/') return { status: 200, body: roles };
      const isFirst = request.url?.endsWith('/RoleA') ?? false;
      return isFirst ? { status: 200, body: vectors.exchange[2]?.answer.body ?? '' } : answers(request, body);
    };
    assert.equal((await service.fetch()).accessKeyId, 'ASIAEXAMPLE0000000000');
  });

  it('token PUT without answer: the hop limit is named, and version 1 is not asked', async () => {
    assert.equal(failure('token PUT without answer').status, null);
    world.metadata.answer = () => undefined;
    await refuses(service.fetch(), /gives no answer.*hop limit of 2/);
    assert.deepEqual(world.metadata.asked, ['PUT /latest/api/token']);
  }).timeout(10_000);

  it('an answer that cannot be used is not repeated', async () => {
    for (const body of ['{"Code":"Success","SecretAccessKey":"hidden"}', 'hidden', '["hidden"]', 'x'.repeat(70_000)]) {
      world.metadata.answer = (request, text) =>
        request.url?.endsWith('/EnclaveRole') ? { status: 200, body } : answers(request, text);
      await assert.rejects(service.fetch(), (error: Error) => {
        assert.doesNotMatch(error.message, /hidden/);
        return error instanceof KmsError;
      });
    }
    world.metadata.answer = (request, text) =>
      request.url?.endsWith('/security-credentials/')
        ? { status: 200, body: '../../user-data' }
        : answers(request, text);
    await refuses(service.fetch(), /not its list of roles/);
  });
});

describe('credentials by the environment of the image', () => {
  it('are those of the image when AWS can know them; placeholders are none', async () => {
    await using world = await KmsWorld.start();
    const real = { AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', AWS_SECRET_ACCESS_KEY: 's', AWS_SESSION_TOKEN: 't' };
    assert.deepEqual(credentialDestinations(real), []);
    const found = await credentialSource(real, httpOf(world, real), noFile).fetch();
    assert.deepEqual(found, { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 's', sessionToken: 't' });
    const placeholder = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };
    assert.deepEqual(credentialDestinations(placeholder), ['169.254.169.254:80']);
    const source = credentialSource(placeholder, httpOf(world, placeholder), noFile);
    assert.equal((await source.fetch()).accessKeyId, INSTANCE.accessKeyId);
  });

  it('are asked of the agent of a container, in clear or by TLS, with its token', async () => {
    await using world = await KmsWorld.start();
    const body = JSON.stringify({
      AccessKeyId: 'ASIACONTAINER',
      SecretAccessKey: 's',
      Token: 't',
      Expiration: '2099-01-01T00:00:00Z',
    });
    let authorization: string | undefined;
    const answer: FakeServer['answer'] = (request) => {
      authorization = request.headers.authorization;
      return request.url === '/creds?id=1' ? { status: 200, body } : { status: 404 };
    };
    const [plain, tls] = [await new FakeServer(answer).start(), await new FakeServer(answer, pair).start()];
    world.routes.set('169.254.170.2:80', plain.port).set('169.254.170.23:80', plain.port);
    world.routes.set('localhost:8443', tls.port);
    await writeFile(join(world.rootfs, 'token'), 'from a file\n');
    const file = { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/token' };
    for (const [env, token] of [
      [{ AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/creds?id=1' }, undefined],
      [
        {
          AWS_CONTAINER_CREDENTIALS_FULL_URI: 'https://localhost:8443/creds?id=1',
          AWS_CONTAINER_AUTHORIZATION_TOKEN: 'Basic abc',
        },
        'Basic abc',
      ],
      [{ AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/creds?id=1', ...file }, 'from a file'],
    ] as const) {
      const http = httpOf(world, env, pair.cert);
      const readFromRoot = (): string => 'from a file\n';
      assert.equal((await credentialSource(env, http, readFromRoot).fetch()).accessKeyId, 'ASIACONTAINER');
      assert.equal(authorization, token);
      http.close();
    }
    await Promise.all([plain.close(), tls.close()]);
  });

  it('are not asked for in clear of others than the agents', () => {
    for (const url of ['http://10.0.0.1/', 'http://agent.example/', 'ftp://169.254.170.2/', 'nonsense']) {
      const env = { AWS_CONTAINER_CREDENTIALS_FULL_URI: url };
      assert.throws(() => credentialDestinations(env), { code: 'KMS_CREDENTIALS' }, url);
    }
    assert.throws(() => credentialDestinations({ AWS_EC2_METADATA_SERVICE_ENDPOINT: 'https://h' }), KmsError);
  });

  it('come over IPv6, or from another address, where the image says so', () => {
    assert.deepEqual(credentialDestinations({ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: 'IPv6' }), [
      '[fd00:ec2::254]:80',
    ]);
    const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://host:1338' };
    assert.deepEqual(credentialDestinations(env), ['host:1338']);
  });
});
