import assert from 'node:assert/strict';
import { connect, ErrorCode, type KV, NatsError } from 'nats';
import { EnclaveStore } from '../src/enclave-store.ts';
import { Bus } from '../src/index.ts';
import { StoredWrites } from '../src/stored-writes.ts';
import { ENCLAVE_BUCKET } from '../src/subjects.ts';
import { NatsProcess } from './nats-process.ts';

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
});
