import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type BusCredentials, natsServerConfig } from '../src/index.ts';
import { NatsProcess } from './nats-process.ts';
import { tlsFiles } from './tls-files.ts';

describe('the bus with TLS', () => {
  let folder: string;
  let files: Awaited<ReturnType<typeof tlsFiles>>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-bus-tls-'));
    files = await tlsFiles(folder, ['IP:127.0.0.1']);
  });

  after(() => rm(folder, { recursive: true }));

  const overTls = (nats: NatsProcess, more: Partial<BusCredentials>): BusCredentials => ({
    ...nats.as('supervisor'),
    url: nats.credentials.url.replace(/^\w+:/, 'tls:'),
    ...more,
  });
  const unreachable = { code: 'BUS_UNREACHABLE' };

  it('is reached by who trusts its CA, and by nobody else', async () => {
    await using nats = await NatsProcess.start({ tls: files.server });
    await using bus = await Bus.connect({ source: 'supervisor', credentials: overTls(nats, { ca: files.ca }) });
    assert.deepEqual(await bus.enclaves.list(), []);
    await assert.rejects(Bus.connect({ source: 'x', credentials: overTls(nats, {}) }), unreachable);
  });

  it('wants the certificate of a client where it is told to', async () => {
    await using nats = await NatsProcess.start({ tls: { ...files.server, clientCa: files.ca } });
    const { ca, client } = files;
    await using bus = await Bus.connect({ source: 'supervisor', credentials: overTls(nats, { ca, ...client }) });
    assert.deepEqual(await bus.enclaves.list(), []);
    await assert.rejects(Bus.connect({ source: 'x', credentials: overTls(nats, { ca }) }), unreachable);
  });

  it('gives no password to a server that has no TLS', async () => {
    await using nats = await NatsProcess.start();
    await assert.rejects(Bus.connect({ source: 'x', credentials: overTls(nats, { ca: files.ca }) }), unreachable);
  });

  it('is what a server needs that listens on more than loopback', () => {
    const config = { port: 4222, storeDir: '/data', users: [] };
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example']) {
      assert.throws(() => natsServerConfig({ ...config, host }), { code: 'BUS_TLS_REQUIRED' }, host);
      assert.ok(natsServerConfig({ ...config, host, tls: files.server }).includes('tls {'));
    }
    for (const host of ['127.0.0.1', '127.1.2.3', '::1']) assert.ok(natsServerConfig({ ...config, host }));
  });
});
