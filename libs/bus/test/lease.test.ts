import assert from 'node:assert/strict';
import { connect, ErrorCode, type KV, type NatsConnection, NatsError } from 'nats';
import { Bus } from '../src/index.ts';
import { Lease } from '../src/lease.ts';
import { StoredWrites } from '../src/stored-writes.ts';
import { LEASE_BUCKET } from '../src/subjects.ts';
import { NatsProcess } from './nats-process.ts';

describe('a lease', () => {
  let nats: NatsProcess;
  let connection: NatsConnection;
  let bucket: KV;
  const options = { leaseMs: 300, onLost: assert.fail };
  const noAnswer = () => NatsError.errorForCode(ErrorCode.Timeout);

  before(async () => {
    nats = await NatsProcess.start();
    await using _ = await Bus.connect({ source: 'test', credentials: nats.credentials });
    const { url, user, password } = nats.credentials;
    connection = await connect({ servers: url, user: user ?? '', pass: password ?? '' });
    bucket = await connection.jetstream().views.kv(LEASE_BUCKET, { bindOnly: true });
  });

  after(async () => {
    await connection.close();
    await nats[Symbol.asyncDispose]();
  });

  /** The bucket, but for some of its methods. */
  function bucketWith(methods: Partial<KV>): KV {
    return Object.assign(Object.create(bucket), methods);
  }

  it('holds a write without answer against nobody once another one has it', async () => {
    const writes = new StoredWrites(connection);
    let other: Lease | undefined;
    const create = async (): Promise<number> => {
      other = await Lease.take(bucket, new StoredWrites(connection), 'refused', options);
      throw noAnswer();
    };
    await assert.rejects(Lease.take(bucketWith({ create }), writes, 'refused', options), { code: 'LEASE_HELD' });
    assert.equal(writes.stalledMs, 0);
    await other?.release();
  });

  it('holds a write without answer against nobody once the server says that it had stored it', async () => {
    const writes = new StoredWrites(connection);
    const stalledMs = Promise.withResolvers<number>();
    let updates = 0;
    const update: KV['update'] = async (...update) => {
      updates += 1;
      const revision = await bucket.update(...update);
      if (updates === 1) throw noAnswer();
      return revision;
    };
    const get: KV['get'] = (key) => {
      if (updates > 0) stalledMs.resolve(writes.stalledMs);
      return bucket.get(key);
    };
    const lease = await Lease.take(bucketWith({ update, get }), writes, 'unanswered', options);
    assert.equal(await stalledMs.promise, 0);
    await lease.release();
  });

  it('is taken after a silence from one that shows its life at what is no path', async () => {
    const elsewhere = { host: 'other', pid: 1, boot: 'other', namespace: 'other', start: '1' };
    await bucket.put('shown', JSON.stringify({ id: 'other', process: elsewhere, alive: '99999' }));
    const lease = await Lease.take(bucket, new StoredWrites(connection), 'shown', options);
    await lease.release();
  });
});
