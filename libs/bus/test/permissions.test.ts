import assert from 'node:assert/strict';
import { connect, ErrorCode, type Msg, type NatsConnection, NatsError } from 'nats';
import { Bus, type BusUser, busUsers, toErrorData } from '../src/index.ts';
import { publishLines } from './log-lines.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

const line = { sequence: 0, time: '2026-01-01T00:00:00.000Z', text: 'line' };

describe('permissions of the bus', () => {
  let nats: NatsProcess;
  const buses = new Map<BusUser, Bus>();
  const refused: unknown[] = [];
  let stopped: string[];

  const as = (user: BusUser): Bus => {
    const bus = buses.get(user);
    assert.ok(bus !== undefined);
    return bus;
  };

  before(async () => {
    nats = await NatsProcess.start();
    // All at once, as a stack starts: the others wait until the supervisor has made what they read
    const opening = busUsers.map(async (user) => {
      const bus = await Bus.connect({ source: user, credentials: nats.as(user) });
      bus.onRefused((error) => refused.push(toErrorData(error)));
      buses.set(user, bus);
    });
    await Promise.all(opening);
    const enclave = record;
    await as('supervisor').serve('supervisor', '0.1.0', {
      run: async () => ({ enclave }),
      update: async () => ({ enclave, replaces: enclave }),
      stop: async ({ id }) => {
        stopped.push(id);
        return { enclave };
      },
      list: async () => ({ enclaves: [enclave] }),
      describe: async () => ({ enclave }),
    });
    await as('builder').serve('builder', '0.1.0', {
      build: () => Promise.reject(new Error('not asked for')),
      verifyBuild: () => Promise.reject(new Error('not asked for')),
      cancel: async () => ({ cancelled: false }),
      extract: () => Promise.reject(new Error('not asked for')),
    });
    await as('outer-proxy').announce('outer-proxy', '0.1.0');
    await as('log-relay').announce('log-relay', '0.1.0');
  });

  beforeEach(() => {
    stopped = [];
    refused.length = 0;
  });

  after(async () => {
    for (const bus of buses.values()) await bus.close();
    await nats[Symbol.asyncDispose]();
  });

  it('lets every part do its work', async () => {
    const readers: BusUser[] = ['supervisor', 'outer-proxy', 'log-relay', 'cli', 'reader'];
    const watches = readers.map((user) => as(user).events());
    for (const watch of watches) await watch.ready;
    await as('supervisor').enclaves.put(record);
    await as('supervisor').publishEvent(record.id, 'requested', { enclave: record });
    await as('outer-proxy').publishEvent(record.id, 'egress-ready', { ingress: record.ingress });
    await as('log-relay').publishEvent(record.id, 'log-ended', { lines: 1, lost: 0 });
    for (const watch of watches) {
      const names: string[] = [];
      for await (const { name } of watch) {
        names.push(name);
        if (names.length === 3) break;
      }
      assert.deepEqual(names, ['requested', 'egress-ready', 'log-ended']);
    }
    for (const user of readers) assert.deepEqual(await as(user).enclaves.list(), [record], user);

    for await (const { id } of as('supervisor').enclaves.watch()) {
      assert.equal(id, record.id);
      break;
    }

    await publishLines(as('log-relay'), record.id, 'stdout', [line]);
    assert.equal((await as('log-relay').logStore.last(record.id, 'records')).batch?.lines.length, 1);
    for (const user of ['supervisor', 'cli'] as const) {
      const lines: string[] = [];
      for await (const batch of as(user).logs({ id: record.id })) lines.push(...batch.lines.map(({ text }) => text));
      assert.deepEqual(lines, ['line'], user);
    }

    const blobs = await as('supervisor').blobs();
    const revision = await blobs.put('owner', 'key', Buffer.from('sealed'), 0);
    assert.equal((await blobs.get('owner', 'key'))?.revision, revision);

    await as('cli').request('supervisor', 'stop', { id: record.id });
    assert.deepEqual(stopped, [record.id]);
    await as('cli').request('builder', 'cancel', { buildId: 'b' });
    const progress = Promise.withResolvers<string>();
    const end = await as('cli').onBuildProgress('b', ({ stage }) => progress.resolve(stage));
    as('builder').publishBuildProgress('b', { stage: 'pull' });
    assert.equal(await progress.promise, 'pull');
    end();
    for (const user of ['cli', 'reader'] as const) {
      assert.deepEqual((await as(user).services()).sort(), ['builder', 'log-relay', 'outer-proxy', 'supervisor'], user);
    }
    for (const user of ['supervisor', 'builder', 'outer-proxy', 'log-relay'] as const) {
      as(user).warnings.raise({ code: 'TRIED', severity: 'info', message: 'x' });
      await as(user).warnings.written();
      for (const reader of ['cli', 'reader'] as const) {
        assert.deepEqual(
          (await as(reader).warnings.list()).map(({ service }) => service),
          [user],
        );
      }
      as(user).warnings.clear('TRIED');
      await as(user).warnings.written();
    }
    assert.deepEqual(refused, []);
  });

  describe('refuse', () => {
    const denied = { code: 'BUS_DENIED' };

    it('a start or stop from all but the command', async () => {
      for (const user of busUsers.filter((each) => each !== 'cli')) {
        await assert.rejects(as(user).request('supervisor', 'stop', { id: record.id }), denied, user);
        await assert.rejects(as(user).request('builder', 'cancel', { buildId: 'b' }), denied, user);
      }
      assert.deepEqual(stopped, []);
    });

    it("events that are another one's to tell", async () => {
      await assert.rejects(as('outer-proxy').publishEvent(record.id, 'ready', { ingress: [] }), denied);
      await assert.rejects(as('outer-proxy').publishEvent(record.id, 'log-ended', { lines: 0, lost: 0 }), denied);
      await assert.rejects(as('log-relay').publishEvent(record.id, 'egress-ready', { ingress: [] }), denied);
      await assert.rejects(as('supervisor').publishEvent(record.id, 'log-ended', { lines: 0, lost: 0 }), denied);
      for (const user of busUsers.filter((each) => each !== 'supervisor')) {
        await assert.rejects(as(user).publishEvent(record.id, 'stopping', { graceMs: 0 }), denied, user);
      }
    });

    it('state and log lines from all but their writer', async () => {
      for (const user of busUsers) {
        if (user !== 'supervisor') await assert.rejects(as(user).enclaves.put(record), user);
        if (user !== 'log-relay') {
          await assert.rejects(as(user).publishLog(record.id, 'records', { lines: [line] }, 0), denied, user);
        }
      }
    });

    it('sealed values and log lines to those who need none', async () => {
      for (const user of busUsers.filter((each) => each !== 'supervisor')) {
        const blobs = await as(user).blobs();
        await assert.rejects(blobs.get('owner', 'key'), user);
        await assert.rejects(blobs.put('owner', 'key', Buffer.from('x'), 1), user);
      }
      await assert.rejects(as('reader').logStore.last(record.id, 'records'));
      await assert.rejects(as('outer-proxy').logStore.last(record.id, 'records'));
      await assert.rejects(as('builder').logStore.last(record.id, 'records'));
      await assert.rejects(as('webhooks').enclaves.list());
    });
  });

  describe('hold against what knows the protocol', () => {
    const connections: NatsConnection[] = [];
    const raw = async (user: BusUser): Promise<NatsConnection> => {
      const { url, user: name, password } = nats.as(user);
      const connection = await connect({ servers: url, user: name, pass: password, inboxPrefix: `_INBOX_${user}` });
      connections.push(connection);
      return connection;
    };
    const administrator = async (): Promise<NatsConnection> => {
      const { url, user = '', password = '' } = nats.credentials;
      const connection = await connect({ servers: url, user, pass: password });
      connections.push(connection);
      return connection;
    };
    const isDenied = (error: unknown): boolean =>
      error instanceof NatsError && error.code === ErrorCode.PermissionsViolation;

    afterEach(async () => {
      for (const connection of connections.splice(0)) await connection.close();
    });

    it('streams are deleted, purged and changed by nobody, but the log-relay thins out the log', async () => {
      for (const user of busUsers) {
        const connection = await raw(user);
        for (const stream of ['ENCLAVER_EVENTS', 'ENCLAVER_LOGS', 'KV_enclaver_enclaves', 'KV_enclaver_blobs']) {
          for (const verb of ['DELETE', 'PURGE', 'MSG.DELETE', 'SNAPSHOT', 'RESTORE', 'LEADER.STEPDOWN']) {
            if (user === 'log-relay' && stream === 'ENCLAVER_LOGS' && verb === 'MSG.DELETE') continue;
            if (user === 'supervisor' && stream === 'KV_enclaver_enclaves' && verb === 'MSG.DELETE') continue;
            await assert.rejects(connection.request(`$JS.API.STREAM.${verb}.${stream}`, '{}'), isDenied);
          }
          if (user === 'supervisor') continue;
          for (const verb of ['CREATE', 'UPDATE']) {
            await assert.rejects(connection.request(`$JS.API.STREAM.${verb}.${stream}`, '{}'), isDenied);
          }
        }
        await assert.rejects(connection.request('$JS.API.CONSUMER.DELETE.ENCLAVER_EVENTS.webhooks'), isDenied);
        if (user === 'supervisor') continue;
        await assert.rejects(connection.request('$KV.enclaver_leases.supervisor', '{}'), isDenied);
      }
    });

    it("another's answers, requests and system subjects are not to be read", async () => {
      const connection = await raw('log-relay');
      const targets = [
        '_INBOX_cli.>',
        '_INBOX.>',
        '>',
        'enclaver.v1.supervisor.stop',
        '$SYS.>',
        '$KV.>',
        '$SRV.PING.enclaver-supervisor',
      ];
      for (const subject of targets) {
        const outcome = Promise.withResolvers<NatsError | null>();
        connection.subscribe(subject, { callback: (error) => outcome.resolve(error) });
        assert.ok(isDenied(await outcome.promise), subject);
      }
    });

    it('no enclave is stopped by a request that JetStream is made to deliver', async () => {
      const connection = await raw('log-relay');
      const request = {
        specversion: '1.0',
        id: '1',
        source: 'enclaver/cli',
        type: 'enclaver.v1.supervisor.stop.request',
        time: line.time,
        datacontenttype: 'application/json',
        data: { id: record.id },
      };
      await connection.request(`enclaver.v1.log.${record.id}.records`, JSON.stringify(request));
      const api = (verb: string, name: string, body: unknown, reply?: string): Promise<Msg> | undefined => {
        const payload = JSON.stringify(body);
        const subject = `$JS.API.CONSUMER.${verb}.ENCLAVER_LOGS${name}`;
        if (reply === undefined) return connection.request(subject, payload);
        connection.publish(subject, payload, { reply });
        return undefined;
      };
      const create = (config: object) => api('CREATE', '', { stream_name: 'ENCLAVER_LOGS', config });
      const target = 'enclaver.v1.supervisor.stop';
      await create({ deliver_subject: target, deliver_policy: 'all', ack_policy: 'none' });
      await create({ name: 'pull', deliver_policy: 'all', ack_policy: 'explicit' });
      api('MSG.NEXT', '.pull', 1, target);
      // As if the table let it: a user of full rights pulls into the subject
      const admin = await administrator();
      const deliveries: string[] = [];
      admin.subscribe(target, { callback: (_, { subject }) => deliveries.push(subject) });
      admin.publish('$JS.API.CONSUMER.MSG.NEXT.ENCLAVER_LOGS.pull', '10', { reply: target });
      while (deliveries.length < 2) await as('cli').services();
      assert.deepEqual(new Set(deliveries), new Set([`enclaver.v1.log.${record.id}.records`]));
      await as('cli').request('supervisor', 'list', {});
      assert.deepEqual(stopped, []);
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
      await using supervisor = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
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
});
