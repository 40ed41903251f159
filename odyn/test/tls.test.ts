import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { linesOf } from './harness.ts';
import { echo, Pki, TlsBench } from './tls-bench.ts';

const FILES = 'key_file: /srv/key.pem, cert_file: /srv/cert.pem';

describe('ingress with TLS', function () {
  this.timeout(30_000);

  let pki: Pki;
  let bench: TlsBench;

  before(async () => {
    pki = await Pki.make();
    pki.authority('ca');
    pki.authority('clients');
    pki.certificate('server', 'ca', 'enclave.example');
    pki.certificate('other', 'ca', 'other.example', '*.wild.example');
    pki.certificate('client', 'clients', 'someone');
    pki.certificate('stranger', 'ca', 'someone');
  });

  after(() => pki.close());

  beforeEach(async () => {
    bench = await TlsBench.make();
    bench.files['srv/key.pem'] = await pki.pem('server.key');
    bench.files['srv/cert.pem'] = await pki.pem('server.pem');
  });

  afterEach(() => bench.close());

  const start = (more = ''): Promise<void> => bench.start(FILES + more);

  const client = async (options: ConnectionOptions = {}): Promise<TLSSocket> =>
    bench.client({ ca: await pki.pem('ca.pem'), servername: 'enclave.example', ...options });

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
    const stalled = await Promise.all(Array.from({ length: 50 }, () => bench.parent.dial(bench.port)));
    for (const socket of stalled) socket.write(Buffer.from([0x16, 0x03]));
    await echo(await client(), Buffer.from('not behind them'));
    for (const socket of stalled) socket.destroy();
  });

  it('ends in its time when a client does not take what is on its way, also when the clock is set back meanwhile', async () => {
    await start();
    const stays = (await client()).pause();
    stays.on('error', () => undefined).write(Buffer.alloc(16 << 20));
    await sleep(500);
    const now = Date.now;
    let looks = 0;
    Date.now = () => now() - looks++ * 3_600_000;
    try {
      await bench.close();
    } finally {
      Date.now = now;
    }
    stays.destroy();
    bench = await TlsBench.make();
  });

  it('goes on after what is no TLS', async () => {
    await start();
    const socket = await bench.parent.dial(bench.port);
    socket.resume().end('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
    await echo(await client(), Buffer.from('still there'));
  });

  it('takes clients with a certificate of the authority that the manifest names, and no others', async () => {
    bench.files['srv/clients.pem'] = await pki.pem('clients.pem');
    await start(', client_ca_file: /srv/clients.pem');
    await echo(
      await client({ key: await pki.pem('client.key'), cert: await pki.pem('client.pem') }),
      Buffer.from('known'),
    );
    for (const options of [{}, { key: await pki.pem('stranger.key'), cert: await pki.pem('stranger.pem') }]) {
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

  it('does not start the app of an image whose authorities of clients are none', async () => {
    bench.files['srv/clients.pem'] = 'no certificate';
    const { error } = await bench.fatal(`${FILES}, client_ca_file: /srv/clients.pem`);
    assert.match(error, /^TLS_FILE: ingress port \d+: \/srv\/clients\.pem holds no certificate in PEM form/);
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
    const args = ['-connect', `127.0.0.1:${await bench.tcp()}`, '-CAfile', join(pki.folder, 'ca.pem')];
    const more = ['-verify_return_error', '-servername', 'enclave.example', '-quiet'];
    const child = spawn('openssl', ['s_client', ...args, ...more], { stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdin.write('hello\n');
    const [line] = await once(child.stdout, 'data');
    assert.equal(String(line), 'hello\n');
    child.kill();
  });

  for (const version of ['tls1_2', 'tls1_3']) {
    it(`goes on with an earlier session of openssl s_client, in ${version}`, async () => {
      await start();
      const session = join(pki.folder, `session.${version}`);
      const port = await bench.tcp();
      const ask = async (...more: string[]): Promise<string> => {
        const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, `-${version}`, ...more], {
          stdio: ['pipe', 'pipe', 'ignore'],
        });
        let said = '';
        child.stdout.on('data', (piece) => {
          said += piece;
          // The tickets of TLS 1.3 come with what the app gives back; Q ends the program
          if (/^hello$/m.test(said)) child.stdin.end('Q\n');
        });
        child.stdin.write('hello\n');
        await once(child, 'close');
        return said;
      };
      assert.match(await ask('-sess_out', session), /^New, TLSv1/m);
      assert.match(await ask('-sess_in', session), /^Reused, TLSv1/m);
    });
  }

  it('goes on with the session of a client that has shown its certificate, and with no other', async () => {
    bench.files['srv/clients.pem'] = await pki.pem('clients.pem');
    await start(', client_ca_file: /srv/clients.pem');
    const first = await client({ key: await pki.pem('client.key'), cert: await pki.pem('client.pem') });
    const ticket = once(first, 'session');
    const [[session]] = await Promise.all([ticket, echo(first, Buffer.from('known'))]);
    const second = await client({ session: session as Buffer });
    assert.ok(second.isSessionReused());
    await echo(second, Buffer.from('still known'));

    // Of a client that was refused, and of a port that asks for none
    const sessions: Buffer[] = [];
    const refused = await client();
    refused.on('session', (each: Buffer) => sessions.push(each)).on('error', () => refused.destroy());
    await new Promise((resolve) => refused.resume().once('close', resolve));
    const open = await TlsBench.make();
    Object.assign(open.files, bench.files);
    await open.start(FILES);
    const elsewhere = await open.client({ ca: await pki.pem('ca.pem'), servername: 'enclave.example' });
    const [[foreign]] = await Promise.all([once(elsewhere, 'session'), echo(elsewhere, Buffer.from('open'))]);
    await open.close();
    for (const each of [...sessions, foreign as Buffer]) {
      const again = await client({ session: each });
      again.on('error', () => again.destroy());
      again.write('x');
      let came = 0;
      again.on('data', (piece: Buffer) => {
        came += piece.length;
      });
      await new Promise((resolve) => again.once('close', resolve));
      assert.equal(came, 0);
    }
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`goes on with an earlier session, whichever of its certificates a client asked for, in ${maxVersion}`, async () => {
      bench.files['srv/other.key'] = await pki.pem('other.key');
      bench.files['srv/other.pem'] = await pki.pem('other.pem');
      await bench.start(
        `certificates: [{ files: { ${FILES} } }, { files: { key_file: /srv/other.key, cert_file: /srv/other.pem } }]`,
      );
      for (const servername of ['enclave.example', 'other.example']) {
        const first = await client({ servername, maxVersion });
        // Of TLS 1.3 it comes behind the handshake
        let session: Buffer | undefined = first.getSession();
        first.on('session', (later: Buffer) => {
          session = later;
        });
        await echo(first, Buffer.from('first'));
        const second = await client({ servername, maxVersion, session });
        assert.ok(second.isSessionReused(), servername);
        await echo(second, Buffer.from('second'));
      }
    });
  }

  it('tells of failed handshakes by their number: a line for each would push out those of the app', async () => {
    await start();
    for (let turn = 0; turn < 50; turn++) {
      const stranger = await bench.parent.dial(bench.port);
      stranger.on('error', () => undefined).end('no TLS');
      await once(stranger.resume(), 'close');
    }
    const lines = linesOf(await bench.stop(), 'odyn').map((line) => JSON.parse(line));
    const refused = lines.filter(({ msg }) => msg === 'connections refused');
    assert.equal(
      refused.reduce((sum, { failedHandshakes = 0 }) => sum + failedHandshakes, 0),
      50,
    );
    assert.ok(refused.at(-1)?.lastFault !== undefined);
    assert.ok(lines.length < 30, `${lines.length} lines`);
  });

  it('takes the files from where the original has them', async () => {
    for (const name of ['key', 'cert']) {
      bench.files[`etc/enclaver/tls/server/${bench.port}/${name}.pem`] = bench.files[`srv/${name}.pem`] ?? '';
      delete bench.files[`srv/${name}.pem`];
    }
    await bench.start('key_file: unused, cert_file: unused');
    await echo(await client(), Buffer.from('x'));
  });

  it('shows the first certificate that has the name, or else the first of all', async () => {
    bench.files['srv/other.key'] = await pki.pem('other.key');
    bench.files['srv/other.pem'] = await pki.pem('other.pem');
    const files = (key: string, cert: string): string => `files: { key_file: /srv/${key}, cert_file: /srv/${cert} }`;
    await bench.start(`certificates: [{ ${files('key.pem', 'cert.pem')} }, { ${files('other.key', 'other.pem')} }]`);
    const seen = async (servername: string): Promise<string | string[] | undefined> => {
      const secure = await client({ servername, checkServerIdentity: () => undefined });
      const name = secure.getPeerCertificate().subject.CN;
      await echo(secure, Buffer.from('x'));
      return name;
    };
    assert.equal(await seen('enclave.example'), 'enclave.example');
    assert.equal(await seen('Other.Example'), 'other.example');
    assert.equal(await seen('a.wild.example'), 'other.example');
    assert.equal(await seen('a.b.wild.example'), 'enclave.example');
    assert.equal(await seen('..*$%&'), 'enclave.example');
    assert.equal(await seen(''), 'enclave.example');
  });

  for (const [what, change, reason] of [
    ['has no key', { 'srv/key.pem': undefined }, /TLS_FILE: ingress port \d+: the image has no \/srv\/key\.pem and no/],
    ['has a key that is none', { 'srv/key.pem': 'none' }, /TLS_FILE: .* is not in PEM form/],
    ['has a key of another certificate', { 'srv/key.pem': 'client.key' }, /TLS_FILE: .* is not of its key/],
  ] as const) {
    it(`does not start the app of an image that ${what}, and says so without the key`, async () => {
      for (const [path, name] of Object.entries(change)) {
        if (name === undefined) delete bench.files[path];
        else bench.files[path] = name === 'none' ? 'SECRET BUT NO PEM' : await pki.pem(name);
      }
      const { error, log } = await bench.fatal(FILES);
      assert.match(error, reason);
      assert.ok(!linesOf(log, 'odyn').join().includes('SECRET'));
    });
  }
});
