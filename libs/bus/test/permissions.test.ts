import assert from 'node:assert/strict';
import type { Msg, NatsError } from 'nats';
import { type BusUser, busUsers } from '../src/index.ts';
import { storage } from '../src/storage.ts';
import { BusUsers, isDenied } from './bus-users.ts';
import { publishLines } from './log-lines.ts';
import { record } from './record.ts';

const line = { sequence: 0, time: '2026-01-01T00:00:00.000Z', text: 'line' };

describe('permissions of the bus', () => {
  const { as, raw, administrator, refused, stopped } = BusUsers.use();

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
    it('streams are deleted, purged and changed by nobody, but the log-relay thins out the log', async () => {
      for (const user of busUsers) {
        const connection = await raw(user);
        for (const { name: stream } of storage) {
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
      const targets = [
        ...busUsers.map((user) => `_INBOX_${user}.>`),
        '_INBOX.>',
        '>',
        'enclaver.v1.supervisor.stop',
        '$SYS.>',
        '$KV.>',
        '$SRV.PING.enclaver-supervisor',
      ];
      for (const user of busUsers) {
        const connection = await raw(user);
        const own = (subject: string): boolean =>
          subject === `_INBOX_${user}.>` || (user === 'supervisor' && subject.includes('supervisor'));
        for (const subject of targets.filter((each) => !own(each))) {
          const outcome = Promise.withResolvers<NatsError | null>();
          connection.subscribe(subject, { callback: (error) => outcome.resolve(error) });
          assert.ok(isDenied(await outcome.promise), `${user} ${subject}`);
        }
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
  });
});
