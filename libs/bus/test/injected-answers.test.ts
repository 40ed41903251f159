import assert from 'node:assert/strict';
import type { Msg } from 'nats';
import { Bus } from '../src/index.ts';
import { BusUsers, isDenied } from './bus-users.ts';
import { publishLines } from './log-lines.ts';
import { record } from './record.ts';

const line = { sequence: 0, time: '2026-01-01T00:00:00.000Z', text: 'line' };

/** What the server, or a service, publishes with its own rights where a request names a subject for the answer. */
describe('answers that a user of the bus has sent to a foreign subject', () => {
  const { as, raw, administrator, refused, credentialsOf } = BusUsers.use();

  before(async () => {
    await as('supervisor').enclaves.put(record);
    await as('supervisor').publishEvent(record.id, 'requested', { enclave: record });
    await as('outer-proxy').publishEvent(record.id, 'egress-ready', { ingress: record.ingress });
    await as('log-relay').publishEvent(record.id, 'log-ended', { lines: 1, lost: 0 });
  });

  it('nothing is written where the reader has an answer sent', async () => {
    const reader = await raw('reader');
    const admin = await administrator();
    const targets: Record<string, string> = {
      ENCLAVER_EVENTS: `enclaver.v1.enclave.${record.id}.exited`,
      ENCLAVER_LOGS: `enclaver.v1.log.${record.id}.console`,
      KV_enclaver_enclaves: `$KV.enclaver_enclaves.${record.id}`,
      KV_enclaver_blobs: '$KV.enclaver_blobs.owner.acme',
      KV_enclaver_leases: '$KV.enclaver_leases.supervisor',
    };
    const asked: Record<string, string> = {
      '$JS.API.INFO': '',
      '$JS.API.STREAM.INFO.ENCLAVER_EVENTS': '',
      '$JS.API.STREAM.MSG.GET.ENCLAVER_EVENTS': '{"seq":1}',
      '$JS.API.CONSUMER.CREATE.ENCLAVER_EVENTS': '{}',
      '$SRV.PING': '',
      '$SRV.INFO.enclaver-supervisor': '',
    };
    const { streams } = await admin.jetstreamManager();
    const last = async (stream: string) => (await streams.info(stream)).state.last_seq;
    for (const [stream, subject] of Object.entries(targets)) {
      const before = await last(stream);
      for (const [request, body] of Object.entries(asked)) reader.publish(request, body, { reply: subject });
      // Who answers does so in order: what was asked before is answered, and stored before what is published now
      for (const [request, body] of Object.entries(asked)) await reader.request(request, body);
      for (const service of ['supervisor', 'builder', 'outer-proxy', 'log-relay']) {
        await reader.request(`$SRV.PING.enclaver-${service}`);
      }
      const { seq } = await admin.jetstream().publish(subject.replace(record.id, 'e-eeeeeeeeeeee'), 'x');
      assert.equal(seq, before + 1, stream);
    }
  });

  it('nothing is written where the reader has kept messages delivered', async () => {
    const reader = await raw('reader');
    const { streams } = await (await administrator()).jetstreamManager();
    const before = (await streams.info('ENCLAVER_EVENTS')).state.last_seq;
    const target = `enclaver.v1.enclave.${record.id}.exited`;
    reader.subscribe(target);
    const create = (stream: string, name = '', more: object = {}): Promise<Msg> => {
      const config = { deliver_subject: target, deliver_policy: 'all', ack_policy: 'none', ...more };
      const durable = name === '' ? 'CREATE' : 'DURABLE.CREATE';
      const subject = `$JS.API.CONSUMER.${durable}.${stream}${name === '' ? '' : `.${name}`}`;
      return reader.request(subject, JSON.stringify({ stream_name: stream, config }));
    };
    for (const stream of ['KV_enclaver_enclaves', 'KV_enclaver_warnings', 'ENCLAVER_LOGS']) {
      await assert.rejects(create(stream), isDenied, stream);
    }
    const refusal = async (answer: Promise<Msg>) => (await answer).json<{ error?: { description: string } }>().error;
    assert.match((await refusal(create('ENCLAVER_EVENTS')))?.description ?? '', /forms a cycle/);
    const durable = { durable_name: 'moved', deliver_subject: '_INBOX_reader.moved' };
    assert.equal(await refusal(create('ENCLAVER_EVENTS', 'moved', durable)), undefined);
    const moved = { durable_name: 'moved' };
    assert.match((await refusal(create('ENCLAVER_EVENTS', 'moved', moved)))?.description ?? '', /forms a cycle/);
    assert.equal((await streams.info('ENCLAVER_EVENTS')).state.last_seq, before);
  });

  it('what the server answers to a foreign subject is believed by nobody', async () => {
    const connection = await raw('log-relay');
    const watch = as('supervisor').events({ id: record.id, replay: true });
    const log = `enclaver.v1.log.${record.id}.records`;
    const { streams } = await (await administrator()).jetstreamManager();
    const kept = async () => (await streams.info('ENCLAVER_EVENTS')).state.messages;
    const before = await kept();
    connection.publish(log, 'x', { reply: `enclaver.v1.enclave.${record.id}.exited` });
    connection.publish('$JS.API.STREAM.MSG.GET.ENCLAVER_LOGS', '{"seq":1}', { reply: '$KV.enclaver_enclaves.e-0' });
    while ((await kept()) === before) await connection.flush();
    await as('supervisor').publishEvent(record.id, 'booting', {});
    const names: string[] = [];
    for await (const { name } of watch) {
      names.push(name);
      if (name === 'booting') break;
    }
    assert.deepEqual(names, ['requested', 'egress-ready', 'log-ended', 'booting']);
    assert.deepEqual(
      refused.map((error) => (error as { code: string }).code),
      ['BUS_MESSAGE_INVALID'],
    );
    assert.deepEqual(
      (await as('cli').enclaves.list()).map(({ id }) => id),
      [record.id],
    );
  });

  it('what a service answers to the subject of an event is no event, though it holds what one does', async () => {
    const connection = await raw('cli');
    const { streams } = await (await administrator()).jetstreamManager();
    const kept = async () => (await streams.info('ENCLAVER_EVENTS')).state.last_seq;
    const before = await kept();
    const request = {
      specversion: '1.0',
      id: '1',
      source: 'cli',
      type: 'enclaver.v1.supervisor.describe.request',
      time: line.time,
      datacontenttype: 'application/json',
      data: { id: record.id },
    };
    const reply = `enclaver.v1.enclave.${record.id}.launching`;
    connection.publish('enclaver.v1.supervisor.describe', JSON.stringify(request), { reply });
    while ((await kept()) === before) await connection.flush();
    await as('supervisor').publishEvent(record.id, 'starting', {});
    const last = await kept();
    const names: string[] = [];
    for await (const { name } of as('outer-proxy').events({ id: record.id, replay: true, follow: false }))
      names.push(name);
    assert.equal(names.includes('launching'), false);
    const stored: string[] = [];
    for await (const { name, position } of as('webhooks').eventStore.after(before)) {
      stored.push(name);
      if (position === last) break;
    }
    assert.deepEqual(stored, ['starting']);
  });

  for (const kind of ['records', 'console'] as const) {
    it(`what the server answers into a log (${kind}) is passed over by its readers and its writer`, async () => {
      const connection = await raw('webhooks');
      const id = kind === 'records' ? 'e-00000000000a' : 'e-00000000000b';
      const stream = kind === 'records' ? 'stdout' : 'console';
      const publish = (sequence: number) => publishLines(as('log-relay'), id, stream, [{ ...line, sequence }]);
      const numbers = async (query: { tail?: number }): Promise<number[]> => {
        const found: number[] = [];
        for await (const { lines } of as('cli').logs({ id, ...query })) {
          found.push(...lines.map(({ sequence }) => sequence));
        }
        return found;
      };
      // More than are looked through at first
      const answers = 100;
      const first = await publish(0);
      const watch = as('supervisor').logs({ id, streams: [stream], follow: true });
      const following = watch[Symbol.asyncIterator]();
      assert.equal((await following.next()).value.position, first);
      const next = following.next();
      for (let turn = 0; turn < answers; turn += 1) {
        connection.publish('$JS.API.INFO', '', { reply: `enclaver.v1.log.${id}.${kind}` });
      }
      while (refused.length < answers) await Promise.race([connection.flush(), next]);
      assert.deepEqual(await numbers({}), [0]);
      assert.deepEqual(await numbers({ tail: 1 }), [0]);

      const batch = { lines: [{ ...line, sequence: 1 }] };
      assert.equal(await as('log-relay').publishLog(id, kind, batch, first), undefined);
      const told = refused.length;
      const tip = await as('log-relay').logStore.last(id, kind);
      assert.equal(tip.batch?.position, first);
      assert.equal(tip.position, first + answers);
      assert.equal((await as('log-relay').logStore.last(id, kind, first)).batch, undefined);
      assert.equal(refused.length, told + 2);
      const second = await publish(1);
      assert.equal((await next).value.position, second);
      assert.deepEqual(await numbers({}), [0, 1]);
      assert.deepEqual(
        new Set(refused.map((error) => (error as { code: string }).code)),
        new Set(['BUS_MESSAGE_INVALID']),
      );
      await watch.close();

      // Also where no batch is before it
      const other = id.replace('e-0', 'e-1');
      connection.publish('$JS.API.INFO', '', { reply: `enclaver.v1.log.${other}.${kind}` });
      while ((await as('log-relay').logStore.after(second)).length === 0) await connection.flush();
      assert.deepEqual(await as('log-relay').logStore.last(other, kind), { position: second + 1, batch: undefined });
      assert.notEqual(await as('log-relay').publishLog(other, kind, batch, second + 1), undefined);
    });
  }

  it('what the server answers among the progress of a build does not disturb who follows it', async () => {
    const connection = await raw('cli');
    const progress = Promise.withResolvers<string>();
    const end = await as('cli').onBuildProgress('b', ({ stage }) => progress.resolve(stage));
    connection.publish('$JS.API.INFO', '', { reply: 'enclaver.v1.build.b.progress' });
    while (refused.length === 0) await connection.flush();
    assert.equal((refused[0] as { code: string }).code, 'BUS_MESSAGE_INVALID');
    as('builder').publishBuildProgress('b', { stage: 'push' });
    assert.equal(await progress.promise, 'push');
    end();
  });

  it('what is no key of a bucket, and what is no record but has its id, is passed over', async () => {
    const connection = await raw('cli');
    await using supervisor = await Bus.connect({ source: 'supervisor', credentials: credentialsOf('supervisor') });
    const mended = new Set<string>();
    void supervisor.enclaves.mend((id) => mended.add(id));
    // A service answers a ping with an id of its own
    const [{ id = '' } = {}] = (await as('cli').serviceStates()).filter(({ service }) => service === 'supervisor');
    connection.publish('$SRV.PING.enclaver-supervisor', '', { reply: `$KV.enclaver_enclaves.${id}` });
    const { streams } = await (await administrator()).jetstreamManager();
    for (const bucket of ['enclaver_enclaves', 'enclaver_warnings']) {
      const reply = `$KV.${bucket}.a$b`;
      connection.publish('$JS.API.INFO', '', { reply });
      const stored = async () => (await streams.info(`KV_${bucket}`, { subjects_filter: '>' })).state.subjects ?? {};
      while (!(reply in (await stored()))) await connection.flush();
      while (bucket === 'enclaver_enclaves' && !(`$KV.${bucket}.${id}` in (await stored()))) await connection.flush();
    }
    for (const user of ['supervisor', 'outer-proxy', 'log-relay', 'builder', 'cli', 'reader'] as const) {
      assert.deepEqual(
        (await as(user).enclaves.list()).map((found) => found.id),
        [record.id],
        user,
      );
    }
    assert.equal(await as('cli').enclaves.get(id), undefined);
    assert.deepEqual(await as('cli').warnings.list(), []);
    while (!mended.has(id)) await connection.flush();
    connection.publish('$JS.API.INFO', '', { reply: `$KV.enclaver_enclaves.${record.id}` });
    while (!mended.has(record.id)) await connection.flush();
    assert.equal((await as('cli').enclaves.get(record.id))?.id, record.id);
  });

  it('a key that the server overwrites is written again by its owner, and holds for nothing until then', async () => {
    const connection = await raw('log-relay');
    const answer = (key: string) =>
      connection.publish('$JS.API.STREAM.MSG.GET.ENCLAVER_LOGS', '{"seq":1}', { reply: `$KV.${key}` });
    const mended: string[] = [];
    const stranger = 'e-ffffffffffff';
    void as('supervisor').enclaves.mend((id, how) => {
      if (id === record.id || id === stranger) mended.push(`${id} ${how}`);
    });
    await as('supervisor').enclaves.put({ ...record, name: 'newest' });
    const lost: unknown[] = [];
    const lease = await as('supervisor').lease('held', { leaseMs: 600, onLost: (error) => lost.push(error) });
    const { views } = (await administrator()).jetstream();
    const held = async () => (await (await views.kv('enclaver_leases')).get('held'))?.string() ?? '';
    const before = await held();
    for (let turn = 0; turn < 3; turn += 1) {
      answer(`enclaver_leases.held`);
      answer(`enclaver_enclaves.${record.id}`);
      answer(`enclaver_enclaves.${stranger}`);
      answer('enclaver_warnings.supervisor.X');
      while (mended.length < 2 * (turn + 1)) await connection.flush();
      assert.equal((await as('cli').enclaves.get(record.id))?.name, 'newest');
      while ((await held()) !== before) await connection.flush();
    }
    assert.deepEqual(new Set(mended), new Set([`${record.id} written again`, `${stranger} removed`]));
    assert.deepEqual(lost, []);
    assert.ok(Array.isArray(await as('cli').warnings.list()));
    await lease.release();
  });
});
