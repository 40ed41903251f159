import assert from 'node:assert/strict';
import type { LookupAddress, lookup } from 'node:dns';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock } from 'node:test';
import { Relay, unixTransport, VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
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
  /** Of the enclave, on the parent's side. */
  let streams: VsockStream[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-egress-'));
    relay = new Relay();
    asked = [];
    const ask = (host: string, _options: unknown, callback: Answer) =>
      asked.push({ host, answer: () => callback(null, [{ address: '127.0.0.1', family: 4 }]) });
    streams = [];
    const real = unixTransport({ path: join(folder, 'vsock') });
    const transport: VsockTransport = {
      ...real,
      listen: async (port, onStream, options) => {
        const note = (stream: VsockStream): void => {
          streams.push(stream);
          onStream(stream);
        };
        return await real.listen(port, note, options);
      },
    };
    egress = await Egress.open(
      relay,
      { transport, group: relay.group(groupLimits()) },
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

  it('bounds the connections of one enclave, those that never say where to among them (D7)', async () => {
    const few = await Egress.open(
      relay,
      { transport: unixTransport({ path: join(folder, 'few') }), group: relay.group(groupLimits()) },
      { logger: pino({ level: 'silent' }), lookups: new Lookups(), limits: { egressConnections: 2 } },
    );
    const dial = (): Socket => connect(join(folder, `few_${EGRESS_PORT}`)).on('error', () => undefined);
    const idle = [dial(), dial()];
    while (few.stats.active < idle.length) await new Promise(setImmediate);
    const third = dial();
    third.write(encodeEgress({ host: '127.0.0.1', port: 1 }));
    await new Promise((resolve) => third.resume().once('close', resolve));
    assert.deepEqual([third.bytesRead, few.stats.accepted, few.stats.refused], [0, 2, 1]);
    for (const socket of idle) socket.destroy();
    await few.close({ drainMs: 0, shared: false });
  });

  it('says of a vsock port that another stack has that a machine has it once', async () => {
    const taken: VsockTransport = {
      ...unixTransport({ path: join(folder, 'taken') }),
      listen: async (port) => {
        throw new VsockError('ADDRESS_IN_USE', `vsock any:${port} is already taken`);
      },
    };
    const opened = Egress.open(
      relay,
      { transport: taken, group: relay.group(groupLimits()) },
      { logger: pino({ level: 'silent' }), lookups: new Lookups() },
    );
    await assert.rejects(opened, { code: 'EGRESS_PORT_IN_USE', message: /17002/ });
  });

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

  describe('whose connection breaks while its name is looked up', () => {
    let server: Server;
    let port: number;

    beforeEach(async () => {
      server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
    });

    afterEach(() => server.close());

    const breaks = async (): Promise<void> => {
      dialOut('slow', port);
      while (asked.length === 0) await new Promise(setImmediate);
      // As a read of AF_VSOCK fails when the machine goes
      streams[0]?.destroy(new Error('reading failed'));
      asked[0]?.answer();
    };

    it('leaves no connection open that was made for it', async () => {
      const [[reached]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, breaks()]);
      await once(reached.resume(), 'close');
      assert.equal(egress.stats.active, 0);
    });

    it('waits for nothing more where none could be made', async () => {
      server.close();
      await breaks();
      while (egress.stats.active > 0) await new Promise(setImmediate);
      assert.equal(egress.stats.failed, 1);
    });
  });
});
