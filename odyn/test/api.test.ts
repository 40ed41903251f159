import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { verifyDocument } from '@enclaver/attestation';
import { Nsm, NsmError, type NsmTransport } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator } from '@enclaver/attestation/simulator';
import { Api } from '../src/api/api.ts';
import { limits } from '../src/limits.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { FakeParent, freePort, linesOf, readLog, StatusReader, startOdyn } from './harness.ts';

const run = promisify(execFile);
const root = DevelopmentRoot.create();
const measurements = { PCR0: 'a0'.repeat(48), PCR1: 'b1'.repeat(48), PCR2: 'c2'.repeat(48) };
const newSimulator = () => new NsmSimulator({ root, measurements });
const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
const der = publicKey.export({ type: 'spki', format: 'der' });

const verify = (document: Uint8Array, expect = {}) =>
  verifyDocument(document, { at: new Date(), roots: [root.certificate], expect });

interface Failure {
  code: string;
  message: string;
  remedy: string;
}

describe('the attestation API', () => {
  let api: Api;
  let port: number;
  let url: string;

  async function serve(transport: NsmTransport): Promise<void> {
    port = await freePort();
    url = `http://127.0.0.1:${port}`;
    api = await Api.open({ port, nsm: new Nsm(transport), log: new OdynLog(new LogRing(limits.logRingBytes)) });
  }

  beforeEach(() => serve(newSimulator().request));
  afterEach(() => api.close());

  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(url + path, {
      method: 'POST',
      headers,
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  async function failure(response: Response, status: number, code: string): Promise<Failure> {
    const answer = (await response.json()) as Failure;
    assert.deepEqual([response.status, answer.code], [status, code], answer.message);
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.ok(answer.message.length > 0 && answer.remedy.length > 0);
    return answer;
  }

  /** Bytes as they are, for what no HTTP client sends. */
  async function raw(request: string): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    socket.write(request);
    return text(socket);
  }

  describe('a document', () => {
    it('comes as CBOR for a body in JSON, as from the original', async () => {
      const nonce = randomBytes(32);
      const userData = randomBytes(1024);
      const response = await post('/v1/attestation', {
        nonce: nonce.toString('base64'),
        user_data: userData.toString('base64'),
        public_key: pem,
        something_else: [1],
      });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('content-type'), 'application/cbor');
      const document = await verify(await response.bytes(), { nonce, userData, publicKey: der });
      assert.equal(Buffer.from(document.pcrs.get(0) ?? []).toString('hex'), measurements.PCR0);
    });

    it('has no fields for {}, nor for fields that are null', async () => {
      for (const body of [{}, { nonce: null, user_data: null, public_key: null }]) {
        const document = await verify(await (await post('/v1/attestation', body)).bytes());
        assert.deepEqual([document.nonce, document.userData, document.publicKey], [undefined, undefined, undefined]);
      }
    });

    it('comes for a query with a nonce, too, in base64 of either alphabet', async () => {
      const nonce = Buffer.from('fbefbefbff', 'hex');
      for (const encoding of ['base64', 'base64url'] as const) {
        const query = new URLSearchParams({ nonce: nonce.toString(encoding) });
        const response = await fetch(`${url}/v1/attestation?${query}`);
        await verify(await response.bytes(), { nonce });
      }
      // As `curl` is given it by most: a plus sign as it is
      const plain = await fetch(`${url}/v1/attestation?nonce=${nonce.toString('base64')}`);
      await verify(await plain.bytes(), { nonce });
      await verify(await (await fetch(`${url}/v1/attestation`)).bytes());
    });

    it('comes for no query with a key or data, which anybody could have a fetcher of URLs ask for', async () => {
      for (const [name, value] of [
        ['public_key', pem],
        ['user_data', 'AAAA'],
      ] as const) {
        const response = await fetch(`${url}/v1/attestation?${new URLSearchParams({ [name]: value })}`);
        await failure(response, 400, 'API_FIELD');
      }
    });

    it('comes as base64 in JSON only for who takes nothing else', async () => {
      const asked = await post('/v1/attestation', {}, { accept: 'application/json' });
      assert.equal(asked.headers.get('content-type'), 'application/json');
      const { document } = (await asked.json()) as { document: string };
      await verify(Buffer.from(document, 'base64'));
      // What a widely used HTTP library sends when nobody has said anything
      for (const accept of ['application/json, text/plain, */*', '*/*', 'application/cbor', 'text/html']) {
        const response = await post('/v1/attestation', {}, { accept });
        assert.equal(response.headers.get('content-type'), 'application/cbor', accept);
      }
    });

    it('takes whatever one PEM block holds, whole', async () => {
      const block = `text before\n-----BEGIN CERTIFICATE-----\r\n${der.toString('base64')}\r\n-----END CERTIFICATE-----\n`;
      await verify(await (await post('/v1/attestation', { public_key: block })).bytes(), { publicKey: der });
    });
  });

  describe('a bad request', () => {
    const bodies: [string, unknown, number, string, RegExp][] = [
      ['no body', '', 400, 'API_BODY', /not JSON/],
      ['no JSON', '{"nonce":', 400, 'API_BODY', /not JSON/],
      ['no object', '[]', 400, 'API_FIELD', /expected object/],
      ['a number', { nonce: 1 }, 400, 'API_FIELD', /nonce/],
      ['no base64', { nonce: 'n%nce' }, 400, 'API_FIELD', /nonce is not base64/],
      ['base64 with wrong padding', { user_data: 'AAA==' }, 400, 'API_FIELD', /user_data is not base64/],
      ...['enclaver-attested-tls/1', 'enclaver-attested-tls/1 and more', 'enclaver sealed value\0'].map(
        (mark): [string, unknown, number, string, RegExp] => [
          `the mark ${JSON.stringify(mark)}`,
          { user_data: Buffer.from(mark).toString('base64') },
          400,
          'API_FIELD',
          /user_data begins with a mark/,
        ],
      ),
      ['base64 with bits left over', { user_data: 'AB' }, 400, 'API_FIELD', /user_data is not base64/],
      ['no PEM', { public_key: 'AAAA' }, 400, 'API_FIELD', /no PEM block/],
      ['two PEM blocks', { public_key: pem + pem }, 400, 'API_FIELD', /2 PEM blocks/],
      [
        'a private key',
        { public_key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' },
        400,
        'API_FIELD',
        /private key/,
      ],
      [
        'more than the NSM takes',
        { nonce: Buffer.alloc(1025).toString('base64') },
        400,
        'API_FIELD',
        /nonce has 1025 bytes.*at most 1024/,
      ],
      ['a large body', { other: 'x'.repeat(3_000_000) }, 413, 'API_BODY_TOO_LARGE', /65536/],
    ];
    for (const [name, body, status, code, message] of bodies) {
      it(`gets ${status} ${code} for ${name}`, async () => {
        assert.match((await failure(await post('/v1/attestation', body), status, code)).message, message);
      });
    }

    it('gets 404 for other paths and 405 for other methods, with what is possible', async () => {
      for (const path of ['/', '/v1', '/v1/attestation/', '/v2/attestation', '/v1/pcrs/16/melt']) {
        await failure(await fetch(url + path), 404, 'API_NOT_FOUND');
      }
      const response = await fetch(`${url}/v1/attestation`, { method: 'PUT', body: 'x'.repeat(1_000_000) });
      assert.equal(response.headers.get('allow'), 'GET, POST');
      await failure(response, 405, 'API_METHOD');
    });

    it('gets 400 for a query that is misspelt or says a thing twice', async () => {
      await failure(await fetch(`${url}/v1/attestation?nonse=AAAA`), 400, 'API_FIELD');
      await failure(await fetch(`${url}/v1/attestation?nonce=AAAA&nonce=AAAB`), 400, 'API_FIELD');
    });

    it('is answered even when it is no HTTP at all', async () => {
      assert.match(await raw('\x16\x03\x01\r\n\r\n'), /^HTTP\/1\.1 400 .*"code":"API_REQUEST"/s);
      assert.match(
        await raw(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
        /^HTTP\/1\.1 431 .*"code":"API_REQUEST"/s,
      );
      const absolute = 'GET http://example.com/v1/attestation HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
      assert.match(await raw(absolute), /^HTTP\/1\.1 400 .*"code":"API_REQUEST"/s);
    });

    it('leaves the connection in order for the next one', async () => {
      const body = 'x'.repeat(200_000);
      const bad = `POST /v1/attestation HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      const good = 'GET /v1/pcrs/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
      const answers = await raw(bad + good);
      assert.deepEqual(answers.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 413', 'HTTP/1.1 200']);
    });
  });

  it('answers a client that has closed its half before the NSM is done', async () => {
    await api.close();
    const simulator = newSimulator();
    await serve(async (request) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return simulator.request(request);
    });
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end('GET /v1/pcrs/0 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.match(await text(socket), /^HTTP\/1\.1 200 /);
  });

  it('turns away pages of a browser', async () => {
    const get = (headers: string) => raw(`GET /v1/pcrs/0 HTTP/1.1\r\nConnection: close\r\n${headers}\r\n`);
    for (const headers of [
      'Host: attacker.example:7777\r\n',
      'Host: 127.0.0.1.attacker.example\r\n',
      'Host: localhost\r\nOrigin: https://attacker.example\r\n',
      'Host: localhost\r\nSec-Fetch-Site: cross-site\r\n',
    ]) {
      assert.match(await get(headers), /^HTTP\/1\.1 403 .*"code":"API_FORBIDDEN"/s, headers);
    }
    for (const host of ['localhost', `127.0.0.1:${port}`, '[::1]:7777']) {
      assert.match(await get(`Host: ${host}\r\n`), /^HTTP\/1\.1 200 /, host);
    }
  });

  describe('registers', () => {
    const show = async (index: number) => (await fetch(`${url}/v1/pcrs/${index}`)).json();

    it('are listed, and shown one by one', async () => {
      const { pcrs } = (await (await fetch(`${url}/v1/pcrs`)).json()) as { pcrs: unknown[] };
      assert.equal(pcrs.length, 32);
      assert.deepEqual(pcrs[2], { index: 2, locked: true, value: measurements.PCR2 });
      assert.deepEqual(await show(2), pcrs[2]);
      for (const name of ['32', '-1', '01', 'x', '1e1']) {
        await failure(await fetch(`${url}/v1/pcrs/${name}`), 404, 'API_NOT_FOUND');
      }
    });

    it('from 16 on are extended and locked, and stand in documents then', async () => {
      const before = await verify(await (await fetch(`${url}/v1/attestation`)).bytes());
      assert.equal(before.pcrs.has(16), false);
      const extended = await post('/v1/pcrs/16/extend', { data: Buffer.from('config').toString('base64') });
      const { value, locked } = (await extended.json()) as { value: string; locked: boolean };
      assert.notEqual(value, '00'.repeat(48));
      assert.equal(locked, false);
      assert.deepEqual(await (await post('/v1/pcrs/16/lock', '')).json(), { index: 16, locked: true, value });
      const after = await verify(await (await fetch(`${url}/v1/attestation`)).bytes());
      assert.equal(Buffer.from(after.pcrs.get(16) ?? []).toString('hex'), value);
    });

    it('below 16 and locked ones stay as they are', async () => {
      await failure(await post('/v1/pcrs/15/extend', { data: 'AAAA' }), 409, 'API_READ_ONLY');
      await failure(await post('/v1/pcrs/0/lock', ''), 409, 'API_READ_ONLY');
      await post('/v1/pcrs/31/lock', '');
      await failure(await post('/v1/pcrs/31/extend', { data: 'AAAA' }), 409, 'NSM_READ_ONLY_INDEX');
      assert.deepEqual(await show(31), { index: 31, locked: true, value: '00'.repeat(48) });
    });

    it('take data within the bounds of the NSM', async () => {
      await failure(await post('/v1/pcrs/16/extend', { data: '' }), 400, 'API_FIELD');
      await failure(await post('/v1/pcrs/16/extend', {}), 400, 'API_FIELD');
      await failure(await post('/v1/pcrs/16/extend', { data: 'AAAA', dat: '' }), 400, 'API_FIELD');
      const bytes = (size: number) => Buffer.alloc(size).toString('base64');
      await failure(await post('/v1/pcrs/16/extend', { data: bytes(4_001) }), 400, 'API_FIELD');
      assert.equal((await post('/v1/pcrs/16/extend', { data: bytes(4_000) })).status, 200);
    });
  });

  it('gives random bytes, as many as asked for within the bound', async () => {
    for (const [query, size] of [
      ['', 32],
      ['?bytes=1', 1],
      ['?bytes=4096', 4096],
    ] as const) {
      const [one, other] = await Promise.all([1, 2].map(async () => (await fetch(`${url}/v1/random${query}`)).bytes()));
      assert.equal(one?.length, size);
      if (size > 1) assert.notDeepEqual(one, other);
    }
    const asked = await fetch(`${url}/v1/random?bytes=300`, { headers: { accept: 'application/json' } });
    const { random } = (await asked.json()) as { random: string };
    assert.equal(Buffer.from(random, 'base64').length, 300);
    for (const bytes of ['0', '4097', '-1', '1e2', '']) {
      await failure(await fetch(`${url}/v1/random?bytes=${bytes}`), 400, 'API_FIELD');
    }
  });

  describe('an NSM that fails', () => {
    beforeEach(() => api.close());

    it('gives 503 with its code, and an answer as soon as it is back', async () => {
      const simulator = newSimulator();
      let broken: Error | undefined = new Error('ioctl: no such device');
      await serve((request) => (broken === undefined ? simulator.request(request) : Promise.reject(broken)));
      await failure(await post('/v1/attestation', {}), 503, 'NSM_UNREACHABLE');
      await failure(await fetch(`${url}/v1/pcrs`), 503, 'NSM_UNREACHABLE');
      broken = new NsmError('NSM_BUSY', 'too much');
      await failure(await fetch(`${url}/v1/random`), 503, 'NSM_BUSY');
      broken = undefined;
      assert.equal((await post('/v1/attestation', {})).status, 200);
    });

    it('gives 503 for an answer that is none', async () => {
      await serve(async () => Buffer.from('nonsense'));
      await failure(await post('/v1/attestation', {}), 503, 'NSM_INVALID_RESPONSE');
    });
  });

  describe('serves what docs/api.md shows', () => {
    const nonce = Buffer.from('nonce of the client');
    let env: NodeJS.ProcessEnv;

    beforeEach(() => {
      env = { PATH: process.env.PATH, ENCLAVER_API: url, NONCE: nonce.toString('base64') };
    });

    /** The page's code in a language. */
    async function shown(language: string): Promise<string> {
      const page = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
      const code = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(page)?.[1];
      return code ?? assert.fail(`docs/api.md has no ${language}`);
    }

    it('for a shell', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'api-docs-'));
      const { stdout } = await run('sh', ['-e', '-c', await shown('sh')], { env, cwd: folder });
      await verify(await readFile(join(folder, 'document.cbor')), { nonce });
      await verify(Buffer.from(JSON.parse(stdout).document, 'base64'), { nonce });
      await rm(folder, { recursive: true });
    });

    it('for Python', async () => {
      const use = 'import sys\nsys.stdout.buffer.write(attest(base64.b64decode(os.environ["NONCE"]), b"data"))\n';
      const program = `${await shown('python')}\n${use}`;
      const { stdout } = await run('/usr/bin/python3', ['-c', program], { env, encoding: 'buffer' });
      await verify(stdout, { nonce, userData: Buffer.from('data') });
    });

    it('for Node', async () => {
      const use = 'process.stdout.write(await attest(Buffer.from(process.env.NONCE, "base64"), process.env.PEM));\n';
      const args = ['--input-type=module', '-e', (await shown('js')) + use];
      const { stdout } = await run(process.execPath, args, { env: { ...env, PEM: pem }, encoding: 'buffer' });
      await verify(stdout, { nonce, publicKey: der });
    });
  });
});

describe('an app with the attestation API', function () {
  this.timeout(30_000);

  it('finds it where ENCLAVER_API says', async () => {
    const parent = await FakeParent.make();
    await parent.listen();
    const port = await freePort();
    const ask = 'printf "GET /v1/pcrs/1 HTTP/1.0\\r\\n\\r\\n" | nc 127.0.0.1 $0 | tail -n 1; echo $ENCLAVER_API';
    const { finished } = await startOdyn(
      parent,
      { argv: ['/bin/sh', '-c', ask, `${port}`], manifest: `api: {listen_port: ${port}}\n` },
      { nsm: new Nsm(newSimulator().request) },
    );
    const status = await StatusReader.open(parent);
    const [log] = await Promise.all([readLog(parent), finished, status.final()]);
    const [answer = '', address] = linesOf(log, 'stdout');
    assert.deepEqual(JSON.parse(answer), { index: 1, locked: true, value: measurements.PCR1 });
    assert.equal(address, `http://127.0.0.1:${port}`);
    await parent.close();
  });
});
