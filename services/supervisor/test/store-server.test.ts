import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus } from '@enclaver/bus';
import { unixTransport } from '@enclaver/vsock';
import { STORE_VALUE_MAX, type StoreReply, type StoreRequest } from '@enclaver/wire';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import { limits } from '../src/limits.ts';
import { StoreServer } from '../src/store/store-server.ts';
import { askStore, dialStore } from './ask-store.ts';

describe('store of sealed values', () => {
  let nats: NatsProcess;
  let bus: Bus;
  let folder: string;
  const servers: StoreServer[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-store-'));
    nats = await NatsProcess.start();
    bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
  });

  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });

  after(async () => {
    await bus.close();
    await nats[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const path = (guest: string): string => join(folder, guest);

  async function serve(guest: string, owner: string, changed: Partial<typeof limits> = {}): Promise<void> {
    const logger = pino({ level: 'silent' });
    const options = { bus, owner, logger, limits: { ...limits, ...changed } };
    servers.push(await StoreServer.listen(unixTransport({ path: path(guest) }), options));
  }

  const dial = (guest: string): Socket => dialStore(path(guest));
  const ask = (guest: string, request: StoreRequest): Promise<StoreReply> => askStore(path(guest), request);

  it('is the same for all enclaves of one owner, and another for others', async () => {
    await serve('a', 'app/1');
    await serve('b', 'app/1');
    await serve('c', 'app/2');
    const value = Buffer.alloc(STORE_VALUE_MAX, 7).toString('base64');
    assert.deepEqual(await ask('a', { op: 'get', key: 'k' }), { result: 'missing' });
    const stored = await ask('a', { op: 'put', key: 'k', value, expected: 0 });
    assert.ok(stored.result === 'stored');
    const { revision } = stored;
    assert.deepEqual(await ask('b', { op: 'get', key: 'k' }), { result: 'found', value, revision });
    assert.deepEqual(await ask('b', { op: 'get', key: 'k', known: revision }), { result: 'unchanged' });
    assert.deepEqual(await ask('c', { op: 'get', key: 'k' }), { result: 'missing' });
    assert.deepEqual(await ask('b', { op: 'put', key: 'k', value: 'AA==', expected: 0 }), { result: 'conflict' });
    assert.equal((await ask('b', { op: 'put', key: 'k', value: 'AA==', expected: revision })).result, 'stored');
    assert.deepEqual(await ask('a', { op: 'put', key: 'k', value: 'AQ==', expected: revision }), {
      result: 'conflict',
    });
  });

  it('closes on what is no request, and serves on', async () => {
    await serve('a', 'app/1');
    for (const bytes of [Buffer.alloc(4, 0xff), Buffer.from('\x02\0\0\0{}'), Buffer.from('GET / HTTP/1.1\r\n\r\n')]) {
      const socket = dial('a');
      socket.write(bytes);
      await once(socket.resume(), 'close');
    }
    assert.equal((await ask('a', { op: 'get', key: 'other' })).result, 'missing');
  });

  it('bounds how many ask, and how long', async () => {
    await serve('a', 'app/1', { storeClients: 1, storeMs: 2_000 } as object);
    const slow = dial('a');
    await once(slow, 'connect');
    const second = dial('a');
    await once(second.resume(), 'close');
    assert.ok(!slow.destroyed);
    await once(slow.resume(), 'close');
    assert.equal((await ask('a', { op: 'get', key: 'other' })).result, 'missing');
  });
});
