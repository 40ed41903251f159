import assert from 'node:assert/strict';
import { connect, ErrorCode, type KV, NatsError } from 'nats';
import { EnclaveStore } from '../src/enclave-store.ts';
import { Bus } from '../src/index.ts';
import { storage } from '../src/storage.ts';
import { StoredWrites } from '../src/stored-writes.ts';
import { ENCLAVE_BUCKET } from '../src/subjects.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

describe('records of enclaves', () => {
  it('drop what is none, also when the server does not answer the first time', async () => {
    await using nats = await NatsProcess.start();
    await using _ = await Bus.connect({ source: 'test', credentials: nats.credentials });
    const { url, user, password } = nats.credentials;
    const connection = await connect({ servers: url, user: user ?? '', pass: password ?? '' });
    const bucket = await connection.jetstream().views.kv(ENCLAVE_BUCKET, { bindOnly: true });
    let purges = 0;
    const purge: KV['purge'] = async (...purge) => {
      purges += 1;
      if (purges === 1) throw NatsError.errorForCode(ErrorCode.Timeout);
      await bucket.purge(...purge);
    };
    const slow: KV = Object.assign(Object.create(bucket), { purge });
    const store = new EnclaveStore(new StoredWrites(connection), await connection.jetstreamManager(), slow);
    const id = 'e-ffffffffffff';
    const mended = Promise.withResolvers<string>();
    const mending = store.mend((mendedId, how) => mended.resolve(`${mendedId} ${how}`));
    await bucket.put(id, 'no record');
    assert.equal(await Promise.race([mended.promise, mending]), `${id} removed`);
    assert.equal((await bucket.get(id))?.operation, 'PURGE');
    await connection.close();
  });

  describe('that are forgotten', function () {
    this.timeout(30_000);

    /** Puts and removes so many enclaves, one after another. */
    async function forget(bus: Bus, count: number): Promise<void> {
      for (let n = 0; n < count; n += 1) {
        const id = `e-${n.toString(16).padStart(12, '0')}`;
        await bus.enclaves.put({ ...record, id });
        await bus.enclaves.remove(id);
      }
    }

    it('leave something of the last hundred in the bucket, and no more', async () => {
      await using nats = await NatsProcess.start();
      await using bus = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
      await bus.enclaves.put(record);
      const gone = (async () => {
        for await (const { id, record: known } of bus.enclaves.watch())
          if (id === 'e-000000000077' && known === undefined) return;
      })();
      await forget(bus, 120);
      await gone;
      const { url, user, password } = nats.credentials;
      const connection = await connect({ servers: url, user: user ?? '', pass: password ?? '' });
      const { state } = await (await connection.jetstreamManager()).streams.info(`KV_${ENCLAVE_BUCKET}`);
      assert.equal(state.messages, 101);
      assert.equal((await bus.storageUse()).all.used, state.bytes, 'the server counts their room as free');
      assert.deepEqual(await bus.enclaves.list(), [record]);
      await connection.close();
    });

    it('are forgotten in a bucket of an earlier version, too, which lets nothing be deleted', async () => {
      await using nats = await NatsProcess.start();
      const { url, user, password } = nats.credentials;
      const connection = await connect({ servers: url, user: user ?? '', pass: password ?? '' });
      const manager = await connection.jetstreamManager();
      const config = storage.find(({ name }) => name === `KV_${ENCLAVE_BUCKET}`) ?? {};
      await manager.streams.add({ ...config, max_bytes: 1024 * 1024, deny_delete: true });
      await using bus = await Bus.connect({ source: 'test', credentials: nats.credentials });
      await forget(bus, 102);
      assert.deepEqual(await bus.enclaves.list(), []);
      await connection.close();
    });
  });
});
