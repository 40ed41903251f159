import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { mock } from 'node:test';
import { type ConnectionOptions, connect, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import * as fc from 'fast-check';
import { AcmeChallenges } from '../src/ingress/acme-challenges.ts';
import type { KeyPair } from '../src/ingress/certificates/key-pair.ts';
import { HelloReader, type ReadHello } from '../src/ingress/client-hello.ts';
import { limits } from '../src/limits.ts';
import { Pki } from './tls-bench.ts';

const readClientHello = (bytes: Buffer): ReadHello => new HelloReader().push(bytes);

describe('TLS-ALPN-01', () => {
  let pki: Pki;
  let server: Server;
  let port: number;
  const challenges = new Map<string, KeyPair>();

  before(async () => {
    pki = await Pki.make();
    pki.authority('usual');
    pki.authority('challenge');
    const usual = createTlsServer({ key: await pki.pem('usual.key'), cert: await pki.pem('usual.pem') });
    usual
      .on('secureConnection', (socket) => socket.end('usual'))
      .on('tlsClientError', (_error, socket) => socket.destroy());
    const source = { start: () => Promise.reject(new Error('not started')), challenges, close: () => {} };
    const sifter = new AcmeChallenges([source]);
    server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      sifter.sift(socket, () => usual.emit('connection', socket));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    port = address.port;
  });

  after(async () => {
    server.close();
    await pki.close();
  });

  beforeEach(async () => {
    challenges.clear();
    challenges.set('host.example', {
      key: await pki.pem('challenge.key'),
      certificates: await pki.pem('challenge.pem'),
    });
  });

  async function shown(options: ConnectionOptions): Promise<string | string[] | undefined> {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    await once(socket, 'secureConnect');
    const name = socket.getPeerCertificate().subject.CN;
    socket.resume().end();
    await once(socket, 'close');
    return name;
  }

  const validator = { servername: 'HOST.example', ALPNProtocols: ['acme-tls/1'] };

  it('shows a validator the certificate of the challenge, and everybody else the usual one', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      assert.equal(await shown({ ...validator, maxVersion }), 'challenge');
      assert.equal(await shown({ servername: 'host.example', maxVersion }), 'usual');
      assert.equal(await shown({ servername: 'host.example', ALPNProtocols: ['h2'], maxVersion }), 'usual');
    }
  });

  it('refuses a validator of another name', async () => {
    await assert.rejects(shown({ ...validator, servername: 'other.example' }));
  });

  it('lets go of a validator that has seen the certificate and does not end', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const accepted = once(server, 'connection');
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, allowHalfOpen: true, ...validator };
    const client = connect(options);
    try {
      const [inside] = await accepted;
      await once(client.resume(), 'end');
      assert.ok(!inside.destroyed);
      mock.timers.tick(limits.tlsHandshakeMs);
      assert.ok(inside.destroyed);
    } finally {
      mock.timers.reset();
      client.destroy();
    }
  });

  it('leaves every connection alone while nothing is validated', async () => {
    challenges.clear();
    assert.equal(await shown({ servername: 'host.example' }), 'usual');
  });
});

describe('the first message of a client', () => {
  let hello: Buffer;

  before(async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const client = connect({
      port: address.port,
      host: '127.0.0.1',
      servername: 'host.example',
      ALPNProtocols: ['a', 'bc'],
    });
    client.on('error', () => client.destroy());
    const [socket] = await once(server, 'connection');
    [hello] = await once(socket, 'data');
    socket.destroy();
    server.close();
  });

  const read = { name: 'host.example', protocols: ['a', 'bc'] };

  it('is read, however it is cut into records', () => {
    const message = hello.subarray(5);
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: message.length - 1 }), { maxLength: 8 }), (cuts) => {
        const ends = [0, ...cuts.sort((a, b) => a - b), message.length];
        const records = ends.slice(1).map((end, index) => {
          const piece = message.subarray(ends[index], end);
          return Buffer.concat([Buffer.from([22, 3, 1, piece.length >> 8, piece.length & 255]), piece]);
        });
        assert.deepEqual(readClientHello(Buffer.concat(records)), read);
      }),
    );
  });

  it('is read as it comes, and no byte of it a second time', () => {
    const message = hello.subarray(5);
    const small = [...message].flatMap((byte) => [22, 3, 1, 0, 1, byte]);
    fc.assert(
      fc.property(
        fc.constantFrom(hello, Buffer.from(small)),
        fc.array(fc.integer({ min: 1, max: 9 })),
        (sent, sizes) => {
          const reader = new HelloReader();
          const seen: ReadHello[] = [];
          for (let at = 0, turn = 0; at < sent.length; turn++) {
            const piece = Buffer.from(sent.subarray(at, at + (sizes[turn % sizes.length] ?? 1)));
            seen.push(reader.push(piece));
            at += piece.length;
            piece.fill(0xff);
          }
          assert.deepEqual(seen.pop(), read);
          assert.ok(seen.every((one) => one === 'incomplete'));
        },
      ),
    );
  });

  it('is waited for while it is not whole, and never longer than it can be', () => {
    for (let end = 0; end < hello.length; end++) assert.equal(readClientHello(hello.subarray(0, end)), 'incomplete');
    assert.deepEqual(readClientHello(Buffer.concat([hello, Buffer.from('more')])), read);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20_000, maxLength: 20_000 }), fc.boolean(), (bytes, asHello) => {
        const sent = Buffer.from(bytes);
        if (asHello) sent.set([22, 3, 1, 0x3f, 0xff, 1, 0, 0xff, 0xff]);
        assert.notEqual(readClientHello(sent), 'incomplete');
      }),
      { numRuns: 50 },
    );
  });

  it('never brings the reader to a fall', () => {
    const changes = fc.array(fc.tuple(fc.nat(hello?.length ?? 600), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(changes, (all) => {
        const changed = Buffer.from(hello);
        for (const [at, value] of all) if (at < changed.length) changed[at] = value;
        readClientHello(changed);
      }),
      { numRuns: 2_000 },
    );
  });
});
