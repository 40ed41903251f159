import assert from 'node:assert/strict';
import type { LookupAddress, lookup } from 'node:dns';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';
import { Relay, unixTransport } from '@enclaver/vsock';
import { EGRESS_PORT, type EgressReply, EgressReplyDecoder, encodeEgress } from '@enclaver/wire';
import { pino } from 'pino';
import { Egress } from '../src/egress.ts';
import { groupLimits, limits } from '../src/limits.ts';
import { Lookups } from '../src/lookups.ts';

type Answer = (error: null, found: LookupAddress[]) => void;

describe('egress of one enclave', () => {
  let folder: string;
  let relay: Relay;
  let egress: Egress;
  /** Stands for a resolver that answers when the test says so: a real one that hangs cannot be had. */
  let asked: { host: string; answer: () => void }[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-egress-'));
    relay = new Relay();
    asked = [];
    const ask = (host: string, _options: unknown, callback: Answer) =>
      asked.push({ host, answer: () => callback(null, [{ address: '127.0.0.1', family: 4 }]) });
    egress = await Egress.open(
      relay,
      { transport: unixTransport({ path: join(folder, 'vsock') }), group: relay.group(groupLimits()) },
      { logger: pino({ level: 'silent' }), lookups: new Lookups(ask as unknown as typeof lookup) },
    );
  });

  afterEach(async () => {
    await egress.close({ drainMs: 0, shared: false });
    await relay.close();
    await rm(folder, { recursive: true });
  });

  /** As the enclave does. */
  const dialOut = (host: string, port = 1): Socket => {
    const socket = connect(join(folder, `vsock_${EGRESS_PORT}`)).on('error', () => undefined);
    socket.write(encodeEgress({ host, port }));
    return socket;
  };

  const replyTo = async (socket: Socket): Promise<EgressReply | undefined> =>
    new EgressReplyDecoder().push((await once(socket, 'data'))[0])?.message;

  it('looks up no name for a dial that has ended', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const replies = Array.from({ length: limits.lookupsOfEnclave + 1 }, () => replyTo(dialOut('late')));
      while (egress.stats.active < replies.length) await new Promise(setImmediate);
      let ended = false;
      const all = Promise.all(replies).finally(() => {
        ended = true;
      });
      while (!ended) {
        mock.timers.tick(100);
        await new Promise(setImmediate);
      }
      for (const reply of await all) assert.deepEqual(Object.keys(reply ?? {}), ['Err']);
    } finally {
      mock.timers.reset();
    }
    assert.equal(asked.length, limits.lookupsOfEnclave);
    dialOut('wanted');
    while (egress.stats.accepted < limits.lookupsOfEnclave + 2) await new Promise(setImmediate);
    for (const { answer } of asked.slice()) answer();
    while (asked.length === limits.lookupsOfEnclave) await new Promise(setImmediate);
    assert.deepEqual(
      asked.slice(limits.lookupsOfEnclave).map(({ host }) => host),
      ['wanted'],
    );
  });
});
