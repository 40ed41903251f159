import assert from 'node:assert/strict';
import { connect, ErrorCode, type KV, NatsError } from 'nats';
import { EnclaveStore } from '../src/enclave-store.ts';
import { Bus } from '../src/index.ts';
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

  it('are not what a service answers to a ping that names a key to answer to', async () => {
    await using nats = await NatsProcess.start();
    await using bus = await Bus.connect({ source: 'supervisor', credentials: nats.as('supervisor') });
    await using relay = await Bus.connect({ source: 'log-relay', credentials: nats.as('log-relay') });
    await relay.announce('log-relay', '0.1.0');
    await bus.enclaves.put(record);
    const { url, user, password } = nats.as('reader');
    const reader = await connect({ servers: url, user, pass: password, inboxPrefix: '_INBOX_reader' });
    const { id } = (await reader.request('$SRV.PING.enclaver-log-relay')).json<{ id: string }>();
    const answered = Promise.withResolvers<void>();
    const watching = (async () => {
      for await (const change of relay.enclaves.watch()) if (change.id === id) return answered.resolve();
    })();
    reader.publish('$SRV.PING.enclaver-log-relay', '', { reply: `$KV.${ENCLAVE_BUCKET}.${id}` });
    await Promise.race([answered.promise, watching]);
    assert.deepEqual(await relay.enclaves.list(), [record]);
    const mended = Promise.withResolvers<string>();
    const mending = bus.enclaves.mend((mendedId, how) => mended.resolve(`${mendedId} ${how}`));
    assert.equal(await Promise.race([mended.promise, mending]), `${id} removed`);
    await reader.close();
  });
});
