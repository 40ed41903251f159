import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bus } from '@enclaver/bus';
import { Metrics } from '@enclaver/telemetry';
import { connect } from 'nats';
import { pino } from 'pino';
import { NatsProcess } from '../../../libs/bus/test/nats-process.ts';
import type { Target } from '../src/config.ts';
import { type Limits, limits } from '../src/limits.ts';
import { webhookMetrics } from '../src/metrics.ts';
import { isPrivate } from '../src/private-address.ts';
import { Webhooks } from '../src/webhooks.ts';
import { HookServer } from './hook-server.ts';

const SECRET = 'only-in-this-test-0123456789';
const id = (number: number): string => `e-${String(number).padStart(12, '0')}`;

describe('webhooks', () => {
  let nats: NatsProcess;
  let supervisor: Bus;
  let bus: Bus;
  let cli: Bus;
  let server: HookServer;
  let webhooks: Webhooks | undefined;
  let name = 0;

  before(async () => {
    nats = await NatsProcess.start();
    supervisor = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    bus = await Bus.connect({ source: 'webhooks', credentials: nats.as('webhooks') });
    cli = await Bus.connect({ source: 'enclaver/cli', credentials: nats.as('cli') });
  });

  beforeEach(async () => {
    name += 1;
    server = await HookServer.start(SECRET);
  });

  afterEach(async () => {
    await webhooks?.close();
    webhooks = undefined;
    await server[Symbol.asyncDispose]();
  });

  after(async () => {
    await cli.close();
    await bus.close();
    await supervisor.close();
    await nats[Symbol.asyncDispose]();
  });

  async function start(target: Partial<Target> = {}, more: Partial<Limits> = {}): Promise<void> {
    webhooks = await Webhooks.start({
      bus,
      logger: pino({ level: 'silent' }),
      metrics: webhookMetrics(new Metrics()),
      limits: { ...limits, retryMs: 10, attempts: 3, ...more },
      targets: [
        {
          name: `target-${name}`,
          url: server.url,
          secretFile: '',
          secret: Buffer.from(SECRET),
          allowPrivate: true,
          ...target,
        },
      ],
    });
  }

  const publish = (enclave: number, graceMs: number): Promise<void> =>
    supervisor.publishEvent(id(enclave), 'stopping', { graceMs });

  it('post signed CloudEvents to the target, from its first start on', async () => {
    await publish(1, 1);
    await start();
    await publish(1, 2);
    await supervisor.publishEvent(id(2), 'booting', {});
    await server.count(2);
    assert.deepEqual(
      server.received.map(({ enclave, name: event, isSigned, contentType }) => [enclave, event, isSigned, contentType]),
      [
        [id(1), 'stopping', true, 'application/cloudevents+json; charset=utf-8'],
        [id(2), 'booting', true, 'application/cloudevents+json; charset=utf-8'],
      ],
    );
  });

  it('send only the events that are asked for', async () => {
    await start({ events: ['booting'] });
    await publish(1, 1);
    await supervisor.publishEvent(id(1), 'booting', {});
    await server.count(1);
    assert.equal(server.received[0]?.name, 'booting');
  });

  it('try again, keep the order of an enclave, and hold up no other', async () => {
    const taken: string[] = [];
    const failures = new Map<string, number>();
    const heldUp = Promise.withResolvers<number>();
    server.answer = ({ id: event, enclave }) => {
      const failed = failures.get(event) ?? 0;
      failures.set(event, failed + 1);
      if (enclave === id(1) && taken.length === 0) return heldUp.promise;
      if (failed < 2) return 503;
      taken.push(`${enclave} ${event}`);
      return 200;
    };
    await start();
    for (let round = 0; round < 5; round += 1) for (const enclave of [1, 2, 3]) await publish(enclave, round);
    // Enclave 1 has no answer yet: the ten events of the others get through, each at its third try
    await server.count(1 + 10 * 3);
    heldUp.resolve(500);
    await server.count(15 * 3);
    for (const enclave of [1, 2, 3]) {
      const order = [...new Set(server.received.filter((each) => each.enclave === id(enclave)).map((each) => each.id))];
      assert.equal(order.length, 5);
      assert.deepEqual(
        taken.filter((line) => line.startsWith(id(enclave))).map((line) => line.split(' ')[1]),
        order,
      );
    }
  });

  it('give an event up after so many tries, warn, and take the warning back', async () => {
    server.answer = ({ enclave }) => (enclave === id(1) ? 500 : 200);
    await start();
    await publish(1, 1);
    await server.count(3);
    const warnings = async () => (await supervisor.warnings.list()).map(({ code, service }) => `${service} ${code}`);
    while ((await warnings()).length === 0) await sleep(10);
    assert.deepEqual(await warnings(), ['webhooks WEBHOOK_DEAD']);
    await publish(2, 1);
    await server.count(4);
    while ((await warnings()).length > 0) await sleep(10);
    assert.equal(server.received.length, 4);
  });

  it('go on where they were, with none lost and none of an enclave out of order', async () => {
    server.answer = ({ enclave }) => (enclave === id(1) ? sleep(10_000, 200, { ref: false }) : 200);
    await start();
    for (const round of [1, 2]) for (const enclave of [1, 2]) await publish(enclave, round);
    await server.count(3);
    while ((await bus.eventStore.cursor(`target-${name}`))?.done.length !== 2) await sleep(10);
    await webhooks?.close();
    await publish(1, 3);
    server.answer = () => 200;
    server.received.length = 0;
    await start();
    await server.count(3);
    assert.deepEqual(
      server.received.map(({ enclave }) => enclave),
      [id(1), id(1), id(1)],
    );
  });

  it('go on with what there is, after a time so long that events are not kept any more, and say so', async () => {
    await start();
    await publish(1, 1);
    const { last: first } = await bus.eventStore.extent();
    while ((await bus.eventStore.cursor(`target-${name}`))?.floor !== first) await sleep(10);
    await webhooks?.close();
    for (let graceMs = 2; graceMs <= 7; graceMs += 1) await publish(1, graceMs);
    const { last } = await bus.eventStore.extent();
    const { url, user = '', password = '' } = nats.credentials;
    const administrator = await connect({ servers: url, user, pass: password });
    await (await administrator.jetstreamManager()).streams.purge('ENCLAVER_EVENTS', { seq: last });
    await administrator.close();
    // Fewer than are missing
    await start({}, { ahead: 2 });
    await server.count(2);
    const lost = (await supervisor.warnings.list()).filter(({ code }) => code === 'WEBHOOK_EVENTS_LOST');
    assert.match(lost[0]?.message ?? '', /5 events/);
  });

  it('call no private address unless they may', async () => {
    await start({ allowPrivate: false });
    await publish(1, 1);
    const found = async () => (await supervisor.warnings.list()).find(({ code }) => code === 'WEBHOOK_DEAD');
    while ((await found()) === undefined) await sleep(10);
    assert.match((await found())?.message ?? '', /WEBHOOK_PRIVATE 127\.0\.0\.1/);
    await webhooks?.close();
    name += 1;
    await start({ allowPrivate: false, url: server.url.replace('127.0.0.1', 'localhost') });
    await publish(2, 1);
    while (!/WEBHOOK_PRIVATE localhost/.test((await found())?.message ?? '')) await sleep(10);
    assert.equal(server.received.length, 0);
  });

  it('know private addresses', () => {
    for (const address of [
      '127.0.0.1',
      '10.1.2.3',
      '169.254.169.254',
      '::1',
      '::ffff:10.0.0.1',
      'fd00:ec2::254',
      'fe80::1',
    ])
      assert.ok(isPrivate(address), address);
    for (const address of ['93.184.216.34', '8.8.8.8', '172.32.0.1', '2606:4700::1111'])
      assert.ok(!isPrivate(address), address);
  });

  describe('as a process', function () {
    this.timeout(60_000);
    let folder: string;

    const run = async (config: object): Promise<ChildProcess> => {
      await writeFile(join(folder, 'webhooks.json'), JSON.stringify(config));
      return spawn(process.execPath, [new URL('../src/main.ts', import.meta.url).pathname], {
        env: {
          ...process.env,
          ENCLAVER_BUS: join(folder, 'bus.json'),
          ENCLAVER_WEBHOOKS: join(folder, 'webhooks.json'),
        },
        stdio: ['ignore', 'inherit', 'pipe'],
      });
    };

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'enclaver-webhooks-'));
      await writeFile(join(folder, 'bus.json'), JSON.stringify(nats.as('webhooks')));
      await writeFile(join(folder, 'secret'), `${SECRET}\n`);
    });

    after(async () => {
      await rm(folder, { recursive: true });
    });

    it('loses nothing when it is killed', async () => {
      const target = { name: 'killed', url: server.url, secretFile: join(folder, 'secret'), allowPrivate: true };
      const started = async (): Promise<ChildProcess> => {
        const child = await run({ targets: [target] });
        child.stderr?.resume();
        while (!(await cli.services()).includes('webhooks')) await sleep(20);
        return child;
      };
      const first = await started();
      // The second event is on its way when the process is killed
      server.answer = ({ enclave }) => (enclave === id(1) ? 200 : sleep(60_000, 200, { ref: false }));
      await publish(1, 1);
      await publish(2, 1);
      await server.count(2);
      first.kill('SIGKILL');
      await once(first, 'exit');
      await publish(3, 1);
      server.answer = () => 200;
      const second = await started();
      while (!server.received.some(({ enclave }) => enclave === id(3))) await server.count(server.received.length + 1);
      const redelivered = server.received.slice(2).map(({ enclave, isSigned }) => `${enclave} ${isSigned}`);
      assert.ok(redelivered.includes(`${id(2)} true`), redelivered.join());
      second.kill('SIGTERM');
      const [code] = await once(second, 'exit');
      assert.equal(code, 0);
    });

    it('names what is wrong with its file', async () => {
      const child = await run({ targets: [{ name: 'x', url: 'ftp://example.com', secretFile: '/nowhere' }] });
      const [output, [code]] = await Promise.all([text(child.stderr ?? assert.fail()), once(child, 'exit')]);
      assert.equal(code, 1);
      assert.match(output, /"code":"WEBHOOKS_INVALID"/);
      assert.match(output, /targets\[0\]\.url/);
    });
  });
});
