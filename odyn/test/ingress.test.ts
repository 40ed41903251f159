import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { encodeControl, encodeProxyHeader, type ProxyHeader, STATUS_PORT } from '@enclaver/wire';
import { freePort } from '../../test/stack/free-port.ts';
import { FakeParent, linesOf, readLog, StatusReader, startOdyn } from './harness.ts';
import { Pki } from './tls-bench.ts';

/** Ports that look at their clients, with apps that give back what they get. */
describe('ingress with rules for clients and PROXY headers', function () {
  this.timeout(60_000);

  let pki: Pki;
  let parent: FakeParent;
  let ports: {
    rules: number;
    told: number;
    secure: number;
    few: number;
    slow: number;
    idle: number;
    secureIdle: number;
    haproxy: number;
  };
  let running: Promise<unknown>;
  let log: ReturnType<typeof readLog>;
  let haproxy: ChildProcess | undefined;
  let front: string;
  const servers: Server[] = [];

  before(async () => {
    pki = await Pki.make();
    pki.authority('ca');
    pki.certificate('server', 'ca', 'enclave.example');
    parent = await FakeParent.make();
    await parent.listen();
    const free = async () => await freePort();
    ports = {
      rules: await free(),
      told: await free(),
      secure: await free(),
      few: await free(),
      slow: await free(),
      idle: await free(),
      secureIdle: await free(),
      haproxy: await free(),
    };
    const manifest = [
      'ingress:',
      `  - {listen_port: ${ports.rules}, clients: {allow: [192.0.2.0/24, "2001:db8::/32"], deny: [192.0.2.66]}}`,
      `  - {listen_port: ${ports.told}, proxy_protocol: true}`,
      `  - listen_port: ${ports.secure}`,
      '    clients: {deny: [192.0.2.66]}',
      '    proxy_protocol: true',
      '    tls: {key_file: /srv/key.pem, cert_file: /srv/cert.pem}',
      `  - {listen_port: ${ports.few}, max_connections: 2, proxy_protocol: true}`,
      `  - {listen_port: ${ports.slow}, rate_limit: {connections_per_second: 1, burst: 2}}`,
      `  - {listen_port: ${ports.idle}, idle_timeout_seconds: 1, proxy_protocol: true}`,
      `  - listen_port: ${ports.secureIdle}`,
      '    idle_timeout_seconds: 1',
      '    tls: {key_file: /srv/key.pem, cert_file: /srv/cert.pem}',
      `  - {listen_port: ${ports.haproxy}, proxy_protocol: true}`,
      '',
    ].join('\n');
    await startHaproxy();
    for (const [name, port] of Object.entries(ports)) if (name !== 'haproxy') await echoAt(port);
    const files = { 'srv/key.pem': await pki.pem('server.key'), 'srv/cert.pem': await pki.pem('server.pem') };
    const { finished } = await startOdyn(parent, { argv: ['/bin/tail', '-f', '/srv/cert.pem'], manifest, files });
    log = readLog(parent);
    running = Promise.all([finished, log]);
    const status = await StatusReader.open(parent);
    await Promise.race([status.phase('ready'), status.final().then((end) => assert.fail(JSON.stringify(end)))]);
  });

  after(async () => {
    haproxy?.kill('SIGKILL');
    for (const server of servers) server.close();
    await parent.close();
    await running;
    await pki.close();
  });

  /** The app's listeners are this process's own: outside a machine the loopback is one, and busybox queues few clients. */
  async function echoAt(port: number): Promise<void> {
    const server = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
  }

  /** The real one, twice: outside as what reports the peer, and inside as the app that reads who it is. */
  async function startHaproxy(): Promise<void> {
    front = join(parent.folder, 'front.sock');
    const config = join(parent.folder, 'haproxy.cfg');
    await writeFile(
      config,
      `defaults
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend app
  mode http
  bind 127.0.0.1:${ports.haproxy} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] to %[dst]:%[dst_port]"
listen parent
  mode tcp
  bind unix@${front} accept-proxy
  server enclave unix@${parent.path}_${ports.haproxy} send-proxy-v2
`,
    );
    const path = `${process.env.PATH}:/usr/sbin`;
    haproxy = spawn('haproxy', ['-db', '-q', '-f', config], { env: { PATH: path }, stdio: 'inherit' });
    await once(haproxy, 'spawn');
  }

  const client = (address: string, port = 51234): ProxyHeader => ({
    command: 'proxy',
    family: 4,
    source: { address: Uint8Array.from(address.split('.'), Number), port },
    destination: { address: Uint8Array.of(198, 51, 100, 1), port: 443 },
  });
  const known = client('192.0.2.7');

  /** What comes until there are `length` bytes, or all of it: one that is refused may be reset as well as ended. */
  const bytesUntil = async (socket: Socket, length: number): Promise<Buffer> => {
    let all = Buffer.alloc(0);
    return await new Promise((resolve) => {
      const done = (): void => {
        socket.off('data', onData).off('close', done).off('end', done).pause();
        resolve(all);
      };
      const onData = (piece: Buffer): void => {
        all = Buffer.concat([all, piece]);
        if (all.length >= length) done();
      };
      socket.on('data', onData).on('end', done).on('close', done);
      if (socket.destroyed) done();
    });
  };

  /** Sends what a parent sends, and gives what comes back until `length` bytes or the end. */
  const ask = async (port: number, bytes: Buffer, length = Number.POSITIVE_INFINITY): Promise<Buffer> => {
    const socket = await parent.dial(port);
    socket.write(bytes);
    const back = await bytesUntil(socket, length);
    socket.destroy();
    return back;
  };
  const asked = (header: ProxyHeader, text: string): Buffer =>
    Buffer.concat([encodeProxyHeader(header), Buffer.from(text)]);

  it('takes those that the rules allow, whose app hears nothing of the header', async () => {
    assert.equal((await ask(ports.rules, asked(known, 'hello'), 5)).toString(), 'hello');
    const six: ProxyHeader = {
      command: 'proxy',
      family: 6,
      source: { address: Uint8Array.from(Buffer.from('20010db8'.padEnd(32, '0'), 'hex')), port: 1 },
      destination: { address: new Uint8Array(16), port: 2 },
    };
    assert.equal((await ask(ports.rules, asked(six, 'six'), 3)).toString(), 'six');
    const mapped = Uint8Array.from(Buffer.from(`${'0'.repeat(20)}ffffc0000207`, 'hex'));
    const four: ProxyHeader = { ...six, source: { address: mapped, port: 1 } };
    assert.equal((await ask(ports.rules, asked(four, 'mapped'), 6)).toString(), 'mapped');
  });

  it('closes others before the app hears of them', async () => {
    for (const header of [client('192.0.2.66'), client('203.0.113.1'), { command: 'local' } as const]) {
      assert.equal((await ask(ports.rules, asked(header, 'x'))).length, 0);
    }
  });

  it('gives the app a header of its own making, without what was behind the addresses', async () => {
    const plain = asked(known, 'hello');
    const types = Buffer.concat([encodeProxyHeader(known), Buffer.from('\x04\0\x04abcdhello', 'latin1')]);
    types.writeUInt16BE(12 + 7, 14);
    assert.ok((await ask(ports.told, types, plain.length)).equals(plain));
    const local = asked({ command: 'local' }, 'health');
    assert.ok((await ask(ports.told, local, local.length)).equals(local));
  });

  it('takes a header in pieces, and loses no byte behind it', async () => {
    const sent = Buffer.concat([encodeProxyHeader(known), Buffer.alloc(1 << 20, 'bytes ')]);
    const socket = await parent.dial(ports.rules);
    for (let at = 0; at < 30; at++) {
      socket.write(sent.subarray(at, at + 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(sent.subarray(30));
    const back = await bytesUntil(socket, sent.length - 28);
    assert.ok(back.equals(sent.subarray(28)));
    socket.destroy();
  });

  it('closes on anything else that a parent sends first, and goes on', async () => {
    const whole = encodeProxyHeader(known);
    const wrong = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n'),
      Buffer.from(whole).fill(0x31, 13, 14),
      Buffer.from(whole).fill(0xff, 14, 16),
    ];
    for (const bytes of wrong) {
      for (const port of [ports.rules, ports.told, ports.secure]) assert.equal((await ask(port, bytes)).length, 0);
    }
    for (let cut = 0; cut < whole.length; cut++) {
      const socket = await parent.dial(ports.rules);
      socket.end(whole.subarray(0, cut));
      assert.equal((await bytesUntil(socket, 1)).length, 0);
    }
    assert.equal((await ask(ports.rules, asked(known, 'still'), 5)).toString(), 'still');
  });

  it('closes on a header that takes 5 s and on a handshake that takes 10 s, and not sooner', async () => {
    const closedAfter = async (port: number, bytes: Buffer): Promise<number> => {
      const socket = await parent.dial(port);
      const begun = performance.now();
      socket.write(bytes);
      assert.equal((await bytesUntil(socket, 1)).length, 0);
      return performance.now() - begun;
    };
    const part = encodeProxyHeader(known).subarray(0, 20);
    const hello = Buffer.concat([encodeProxyHeader(known), Buffer.from('160301', 'hex')]);
    const [plain, behindTls, handshake] = await Promise.all([
      closedAfter(ports.rules, part),
      closedAfter(ports.secure, part),
      closedAfter(ports.secure, hello),
    ]);
    assert.ok(plain > 4_000 && behindTls > 4_000 && handshake > 9_000);
  });

  it('tells the app behind TLS of each client the right one', async () => {
    const ca = await pki.pem('ca.pem');
    const one = async (n: number): Promise<void> => {
      const header = client(`192.0.2.${n + 1}`, 1000 + n);
      const socket = await parent.dial(ports.secure);
      // Half of them with the header in a packet of its own, and all of them in each other's way
      if (n % 2 === 0) socket.write(encodeProxyHeader(header));
      else for (const byte of encodeProxyHeader(header)) socket.write(Buffer.of(byte));
      if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, n));
      const secure = connectTls({ socket, ca, servername: 'enclave.example' });
      await once(secure, 'secureConnect');
      const sent = Buffer.from(`I am ${n}`);
      secure.write(sent);
      const expected = Buffer.concat([encodeProxyHeader(header), sent]);
      assert.equal(
        (await bytesUntil(secure, expected.length)).toString('hex'),
        expected.toString('hex'),
        `client ${n}`,
      );
      secure.destroy();
    };
    await Promise.all(Array.from({ length: 40 }, (_, n) => one(n)));
    assert.equal((await ask(ports.secure, encodeProxyHeader(client('192.0.2.66')))).length, 0);
  });

  it('is understood by HAProxy, on the side of the parent and as the app', async () => {
    for (const [family, source, text] of [
      ['TCP4', '192.0.2.7 198.51.100.1', '192.0.2.7:51234 to 198.51.100.1:443'],
      ['TCP6', '2001:db8::7 2001:db8::1', '2001:db8::7:51234 to 2001:db8::1:443'],
    ]) {
      const socket = connect(front);
      socket.write(`PROXY ${family} ${source} 51234 443\r\nGET / HTTP/1.0\r\n\r\n`);
      const answer = (await bytesUntil(socket, Number.POSITIVE_INFINITY)).toString();
      assert.equal(answer.split('\r\n\r\n')[1], text);
    }
  });

  it('has no more open connections than the manifest says', async () => {
    const open = await Promise.all([parent.dial(ports.few), parent.dial(ports.few)]);
    for (const socket of open) {
      socket.write(asked(known, 'x'));
      await bytesUntil(socket, 29);
    }
    assert.equal((await ask(ports.few, asked(known, 'x'))).length, 0);
    for (const socket of open) socket.destroy();
    for (;;) if ((await ask(ports.few, asked(known, 'x'), 29)).length === 29) break;
  });

  it('takes no more new connections than the rate says', async () => {
    const begun = performance.now();
    let served = 0;
    for (let n = 0; n < 20; n++) served += (await ask(ports.slow, Buffer.from('x'), 1)).length;
    assert.ok(served >= 2 && served <= 2 + Math.ceil((performance.now() - begun) / 1000));
  });

  it('cuts a connection that is idle for as long as the manifest says', async () => {
    const plain = await parent.dial(ports.idle);
    plain.write(asked(known, 'x'));
    assert.equal((await bytesUntil(plain, 29)).length, 29);
    const socket = await parent.dial(ports.secureIdle);
    const secure = connectTls({ socket, ca: await pki.pem('ca.pem'), servername: 'enclave.example' });
    secure.write('x');
    assert.equal((await bytesUntil(secure, 1)).toString(), 'x');
    assert.deepEqual(await Promise.all([bytesUntil(plain, 1), bytesUntil(secure, 1)]), [Buffer.of(), Buffer.of()]);
  });

  describe('at its end', () => {
    it('has told and counted what it refused, and by which rule', async () => {
      (await parent.dial(STATUS_PORT)).write(encodeControl({ command: 'stop', graceMs: 0 }));
      const lines = linesOf(await log, 'odyn').map((line) => JSON.parse(line));
      const traffic = lines.find(({ msg }) => msg === 'traffic') ?? assert.fail('no traffic line');
      const stats: { port: number; [count: string]: number }[] = JSON.parse(traffic.ingress);
      const of = (port: number) => stats.find((each) => each.port === port) ?? assert.fail('no such port');
      assert.equal(of(ports.rules).denied, 3);
      assert.equal(of(ports.rules).badHeaders, 4 + 28 + 1);
      assert.equal(of(ports.rules).active, 0);
      assert.equal(of(ports.secure).denied, 1);
      assert.equal(of(ports.secure).failedHandshakes, 1);
      assert.equal(of(ports.secure).active, 0);
      assert.ok((of(ports.few).refused ?? 0) >= 1);
      assert.ok((of(ports.slow).rateLimited ?? 0) >= 1);
      const refusals = lines.filter(({ msg }) => msg === 'connections refused');
      const sum = (port: number, kind: string) =>
        refusals.filter((line) => line.port === port).reduce((all, line) => all + (line[kind] ?? 0), 0);
      assert.equal(sum(ports.rules, 'denied'), 3);
      assert.equal(sum(ports.rules, 'badHeaders'), 33);
      assert.equal(sum(ports.secure, 'denied'), 1);
      assert.equal(sum(ports.slow, 'rateLimited'), of(ports.slow).rateLimited);
      const last = refusals.findLast((line) => line.port === ports.secure);
      assert.deepEqual([last.lastRule, last.lastClientAsParentSays], ['deny 192.0.2.66', '192.0.2.66']);
    });
  });
});
