import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { encodeControl, STATUS_PORT } from '@enclaver/wire';
import { freePort } from '../../test/stack/free-port.ts';
import { FakeParent, linesOf, readLog, StatusReader, startOdyn } from './harness.ts';

/** TLS that ends in odyn, with an app that gives back what it gets. */
describe('ingress with TLS', function () {
  this.timeout(30_000);

  let pki: string;
  let parent: FakeParent;
  let port: number;
  let files: Record<string, string>;

  before(async () => {
    pki = await mkdtemp(join(tmpdir(), 'odyn-pki-'));
    authority('ca');
    authority('clients');
    certificate('server', 'ca', 'enclave.example');
    certificate('client', 'clients', 'someone');
    certificate('stranger', 'ca', 'someone');
  });

  after(() => rm(pki, { recursive: true }));

  beforeEach(async () => {
    parent = await FakeParent.make();
    await parent.listen();
    port = await freePort();
    files = { 'srv/key.pem': await pem('server.key'), 'srv/cert.pem': await pem('server.pem') };
  });

  afterEach(async () => {
    if (running !== undefined) {
      (await parent.dial(STATUS_PORT)).write(encodeControl({ command: 'stop', graceMs: 0 }));
      await Promise.all([running, log]);
      running = undefined;
    }
    await parent.close();
  });

  const pem = (name: string): Promise<string> => readFile(join(pki, name), 'utf8');

  function openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: pki, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  function authority(name: string): void {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
    openssl('req', '-x509', ...key, '-out', `${name}.pem`, '-days', '2', '-subj', `/CN=${name}`);
  }

  function certificate(name: string, issuer: string, host: string): void {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
    const by = ['-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`];
    openssl(
      'req',
      '-x509',
      ...key,
      ...by,
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-subj',
      `/CN=${host}`,
      '-addext',
      `subjectAltName=DNS:${host}`,
    );
  }

  /** Starts an enclave whose app is `cat` behind each connection; resolves when it is ready. */
  async function start(more = '', place = 'key_file: /srv/key.pem, cert_file: /srv/cert.pem'): Promise<void> {
    const manifest = `ingress:\n  - listen_port: ${port}\n    tls: { ${place}${more} }\n`;
    const argv = ['/bin/nc', '-ll', '-p', String(port), '-e', '/bin/cat'];
    const { finished } = await startOdyn(parent, { argv, manifest, files });
    running = finished;
    log = readLog(parent);
    const status = await StatusReader.open(parent);
    await status.phase('ready');
  }

  let running: Promise<void> | undefined;
  let log: ReturnType<typeof readLog>;

  async function client(options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket: Socket = await parent.dial(port);
    const secure = connectTls({ socket, ca: await pem('ca.pem'), servername: 'enclave.example', ...options });
    await once(secure, 'secureConnect');
    return secure;
  }

  /** No end is sent before all is back: across this kind of vsock the end of one direction is that of both. */
  async function echo(secure: TLSSocket, sent: Buffer): Promise<void> {
    const back: Buffer[] = [];
    let missing = sent.length;
    const whole = new Promise<void>((resolve, reject) => {
      secure.once('close', () => reject(new Error(`${missing} bytes did not come back`)));
      secure.on('data', (piece: Buffer) => {
        back.push(piece);
        missing -= piece.length;
        if (missing <= 0) resolve();
      });
    });
    secure.write(sent);
    await whole;
    assert.ok(Buffer.concat(back).equals(sent));
    secure.end();
    await once(secure, 'close');
  }

  it('gives the app plain bytes, both ways to their ends', async () => {
    await start();
    const secure = await client();
    assert.equal(secure.getProtocol(), 'TLSv1.3');
    assert.ok(secure.authorized);
    await echo(secure, Buffer.alloc(3 << 20, 'some bytes '));
  });

  it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    await start();
    const old = await client({ maxVersion: 'TLSv1.2' });
    assert.equal(old.getProtocol(), 'TLSv1.2');
    await echo(old, Buffer.from('x'));
    await assert.rejects(client({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
  });

  it('lets nobody wait for a client that stalls in its handshake (faults D5, B-7)', async () => {
    await start();
    const stalled = await Promise.all(Array.from({ length: 50 }, () => parent.dial(port)));
    for (const socket of stalled) socket.write(Buffer.from([0x16, 0x03]));
    await echo(await client(), Buffer.from('not behind them'));
    for (const socket of stalled) socket.destroy();
  });

  it('goes on after what is no TLS', async () => {
    await start();
    const socket = await parent.dial(port);
    socket.resume().end('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
    await echo(await client(), Buffer.from('still there'));
  });

  it('takes clients with a certificate of the authority that the manifest names, and no others', async () => {
    files['srv/clients.pem'] = await pem('clients.pem');
    await start(', client_ca_file: /srv/clients.pem');
    await echo(await client({ key: await pem('client.key'), cert: await pem('client.pem') }), Buffer.from('known'));
    for (const options of [{}, { key: await pem('stranger.key'), cert: await pem('stranger.pem') }]) {
      // In TLS 1.3 a server's refusal comes after the client's end of the handshake
      const secure = await client(options);
      let came = 0;
      secure
        .on('error', () => secure.destroy())
        .on('data', (piece: Buffer) => {
          came += piece.length;
        });
      secure.write('x');
      await new Promise((resolve) => secure.once('close', resolve));
      assert.equal(came, 0);
    }
  });

  it('agrees on a protocol that the app speaks', async () => {
    await start(', alpn: [h2, http/1.1]');
    assert.equal((await client({ ALPNProtocols: ['http/1.1', 'h2'] })).alpnProtocol, 'h2');
    assert.equal((await client({ ALPNProtocols: ['http/1.1'] })).alpnProtocol, 'http/1.1');
    assert.equal((await client()).alpnProtocol, false);
    await assert.rejects(client({ ALPNProtocols: ['smtp'] }));
  });

  it('is understood by openssl s_client', async () => {
    await start();
    const relay = createServer(async (socket) => socket.pipe(await parent.dial(port)).pipe(socket)).listen(
      0,
      '127.0.0.1',
    );
    await once(relay, 'listening');
    const address = relay.address();
    assert.ok(typeof address === 'object' && address !== null);
    const args = ['-connect', `127.0.0.1:${address.port}`, '-CAfile', join(pki, 'ca.pem'), '-verify_return_error'];
    const child = spawn('openssl', ['s_client', ...args, '-servername', 'enclave.example', '-quiet'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdin.write('hello\n');
    const [line] = await once(child.stdout, 'data');
    assert.equal(String(line), 'hello\n');
    child.kill();
    relay.close();
  });

  it('takes the files from where the original has them', async () => {
    files = {
      [`etc/enclaver/tls/server/${port}/key.pem`]: await pem('server.key'),
      [`etc/enclaver/tls/server/${port}/cert.pem`]: await pem('server.pem'),
    };
    await start('', 'key_file: unused, cert_file: unused');
    await echo(await client(), Buffer.from('x'));
  });

  for (const [what, change, reason] of [
    ['has no key', { 'srv/key.pem': undefined }, /TLS_FILE: ingress port \d+: the image has no \/srv\/key\.pem and no/],
    ['has a key that is none', { 'srv/key.pem': 'none' }, /TLS_FILE: .* is not in PEM form/],
    ['has a key of another certificate', { 'srv/key.pem': 'client.key' }, /TLS_FILE: .* is not of its key/],
  ] as const) {
    it(`does not start the app of an image that ${what}, and says so without the key`, async () => {
      for (const [path, name] of Object.entries(change)) {
        if (name === undefined) delete files[path];
        else files[path] = name === 'none' ? 'SECRET BUT NO PEM' : await pem(name);
      }
      const manifest = `ingress:\n  - listen_port: ${port}\n    tls: { key_file: /srv/key.pem, cert_file: /srv/cert.pem }\n`;
      const { finished } = await startOdyn(parent, {
        argv: ['/bin/true'],
        manifest,
        files: files as Record<string, string>,
      });
      const status = await StatusReader.open(parent);
      const [final, lines] = await Promise.all([status.final(), readLog(parent), finished]);
      assert.ok(final.status === 'fatal');
      assert.match(final.error, reason);
      assert.ok(!linesOf(lines, 'odyn').join().includes('SECRET'));
    });
  }
});
