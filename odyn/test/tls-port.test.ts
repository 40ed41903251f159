import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { mock } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { parseManifest } from '@enclaver/manifest';
import { TlsPort } from '../src/ingress/tls-port.ts';
import { limits } from '../src/limits.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { portOf } from './egress-proxy.ts';
import { FakeParent } from './harness.ts';
import { Pki } from './tls-bench.ts';

describe('a port with TLS', () => {
  let pki: Pki;
  let parent: FakeParent;
  let app: Server;
  let port: TlsPort;
  let serve: (socket: Socket) => void;
  const clients: TLSSocket[] = [];

  before(async () => {
    pki = await Pki.make();
    pki.authority('server');
  });
  after(() => pki.close());

  beforeEach(async () => {
    parent = await FakeParent.make();
    for (const name of ['key', 'pem']) await writeFile(`${parent.folder}/${name}`, await pki.pem(`server.${name}`));
    app = createServer((socket) => serve(socket.on('error', () => socket.destroy())));
    const listenPort = await portOf(app);
    const manifest = parseManifest(
      `version: v1\nname: t\ntarget: t:e\nsources: { app: t:1 }\n` +
        `ingress: [{ listen_port: ${listenPort}, tls: { key_file: /key, cert_file: /pem } }]\n`,
    );
    const [entry = assert.fail('no port')] = manifest.ingress;
    const { transport, folder: root } = parent;
    const log = new OdynLog(new LogRing(1 << 20));
    const context = { port: listenPort, root, manifest, transport, log };
    port = await TlsPort.open(transport, entry, entry.tls ?? assert.fail('no TLS'), context, 2);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await port.close();
    app.close();
    await parent.close();
  });

  async function client(): Promise<TLSSocket> {
    const secure = connectTls({ socket: await parent.dial(port.port), rejectUnauthorized: false });
    clients.push(secure.on('error', () => secure.destroy()));
    await once(secure, 'secureConnect');
    return secure;
  }

  it('has as many clients as there is memory for, where the manifest says nothing else', async () => {
    serve = (socket) => socket.pipe(socket);
    for (const secure of [await client(), await client()]) {
      secure.write('x');
      await once(secure, 'data');
    }
    const third = await parent.dial(port.port);
    await once(third.resume(), 'close');
    assert.deepEqual([port.counts.active, port.counts.refused], [2, 1]);
  });

  it('cuts a client that takes nothing of what the app sends, whatever it sends itself, and no other', async () => {
    serve = (socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(64 * 1024)));
      };
      socket.resume().on('drain', more);
      more();
    };
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const takes = await client();
      takes.resume();
      const stalls = (await client()).pause();
      while (port.counts.active > 1) {
        stalls.write('x');
        await once(takes, 'data');
        mock.timers.tick(limits.ingressIdleMs / 1_000);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(port.counts.stalled, 1);
      await once(takes, 'data');
    } finally {
      mock.timers.reset();
    }
  });
});
