import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type NatsError } from 'nats';
import { Fleet, type FleetNews, natsHubConfig } from '../src/fleet/index.ts';
import { Bus, BusError } from '../src/index.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

const HOST = { host: 'red', password: 'only-in-this-test-red' };
const READER = { user: 'fleet', password: 'only-in-this-test-fleet' };
const INTRUDER = { user: 'intruder', pass: 'only-in-this-test-intruder' };

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe('a fleet', function () {
  this.timeout(60_000);

  let folder: string;
  let file: string;
  let hub: ChildProcess;
  let hubUrl: string;
  let link: { url: string; user: string; password: string };
  let nats: NatsProcess;
  let host: Bus;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-fleet-'));
    const [port, leafPort] = [await freePort(), await freePort()];
    hubUrl = `nats://127.0.0.1:${port}`;
    link = { url: `nats://127.0.0.1:${leafPort}`, user: HOST.host, password: HOST.password };
    const config = natsHubConfig({ listen: '127.0.0.1', port, leafPort, hosts: [HOST], reader: READER });
    // Who has taken over the hub can be anybody there
    const users = `users: [{ user: ${INTRUDER.user}, password: ${INTRUDER.pass} }]`;
    await writeFile(join(folder, 'hub.conf'), config.replace('"HOST_red" {', `"HOST_red" {\n    ${users}`));
    hub = spawn('nats-server', ['-c', join(folder, 'hub.conf')], { stdio: 'ignore' });
    file = join(folder, 'fleet.json');
    await writeFile(file, JSON.stringify({ url: hubUrl, ...READER, hosts: [HOST.host] }));
    await startHost();
  });

  after(async () => {
    await host?.close();
    await nats?.[Symbol.asyncDispose]();
    hub?.kill('SIGTERM');
    await rm(folder, { recursive: true });
  });

  async function startHost(): Promise<void> {
    nats = await NatsProcess.start({ fleet: link });
    host = await Bus.connect({ source: 'test', credentials: nats.credentials });
    const enclave = record;
    await host.serve('supervisor', '0.1.0', {
      run: async () => ({ enclave }),
      update: async () => ({ enclave, replaces: enclave }),
      stop: async () => ({ enclave }),
      list: async () => ({ enclaves: [enclave] }),
      describe: async () => ({ enclave }),
    });
  }

  async function untilSeen(fleet: Fleet): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const [one] = await fleet.list();
      if (one !== undefined && 'enclaves' in one) return;
      await sleep(100);
    }
    throw new Error('the host does not come');
  }

  it('is told no more by a host than it may see, even where the hub is an enemy', async () => {
    await using fleet = await Fleet.connect({ source: 'test', credentials: file });
    await untilSeen(fleet);
    const enemy = await connect({ servers: hubUrl, ...INTRUDER });
    const ask = async (subject: string): Promise<string> =>
      enemy.request(subject, '{}', { timeout: 5_000 }).then(
        () => 'answered',
        (error: NatsError) => error.code,
      );
    assert.equal(await ask('enclaver.v1.supervisor.list'), 'answered');
    for (const subject of [
      'enclaver.v1.supervisor.stop',
      'enclaver.v1.supervisor.run',
      '$JS.API.STREAM.INFO.ENCLAVER_LOGS',
      '$JS.API.STREAM.PURGE.ENCLAVER_EVENTS',
    ]) {
      assert.equal(await ask(subject), '503', `${subject} reaches nobody`);
    }
    await enemy.close();
  });

  it('goes on with the events of a host that was set up anew', async () => {
    await using fleet = await Fleet.connect({ source: 'test', credentials: file });
    await untilSeen(fleet);
    const ended = new AbortController();
    const events = fleet.events({ replay: true, signal: ended.signal });
    const next = async (): Promise<FleetNews> => {
      const { value, done } = await events.next();
      assert.ok(!done);
      return value;
    };
    for (const reason of ['one', 'two']) await host.publishEvent(record.id, 'unhealthy', { reason });
    assert.equal(reasonOf(await next()), 'one');
    assert.equal(reasonOf(await next()), 'two');

    await host.close();
    await nats[Symbol.asyncDispose]();
    await startHost();
    await host.publishEvent(record.id, 'unhealthy', { reason: 'anew' });
    let news = await next();
    while (!('event' in news)) news = await next();
    assert.equal(reasonOf(news), 'anew');
    ended.abort();
    assert.deepEqual(await events.next(), { value: undefined, done: true });
  });

  it('says what is wrong with its file', async () => {
    await writeFile(join(folder, 'wrong.json'), '{"url": "http://hub"}');
    await assert.rejects(
      Fleet.connect({ source: 'test', credentials: join(folder, 'wrong.json') }),
      (error: unknown) => {
        assert.ok(error instanceof BusError);
        assert.equal(error.code, 'FLEET_FILE_INVALID');
        return true;
      },
    );
  });
});

function reasonOf(news: FleetNews): string | undefined {
  return 'event' in news && news.event.name === 'unhealthy' ? news.event.data.reason : undefined;
}
