import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { mock } from 'node:test';
import fc from 'fast-check';
import { decodeCbor } from '../src/cbor.ts';
import { Nsm, NsmError, streamTransport } from '../src/nsm/index.ts';
import { SimulatorServer } from '../src/simulator/index.ts';
import { failsWith, hex, simulatorOf } from './simulator-support.ts';

/** A simulator on a loopback port, with what went wrong on its connections. */
async function served(request = simulatorOf().simulator.request) {
  const failures: Error[] = [];
  const server = new SimulatorServer({ request }, { onFailure: (error) => failures.push(error) });
  const listener = createServer((socket) => server.accept(socket));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const dial = (): Socket => connect({ port, host: '127.0.0.1' });
  return {
    dial,
    failures,
    server,
    nsm: new Nsm(streamTransport(dial)),
    async [Symbol.asyncDispose]() {
      server.close();
      listener.close();
      await once(listener, 'close');
    },
  };
}

/** Everything that the other side sends until it closes. A reset is a close. */
async function answerTo(socket: Socket, bytes: Uint8Array, end = false): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  socket.on('error', () => undefined);
  if (end) socket.end(bytes);
  else socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(parts);
}

const frame = (length: number, body: string | Uint8Array = ''): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return Buffer.concat([head, Buffer.from(body)]);
};
const GET_RANDOM = Buffer.from('6947657452616e646f6d', 'hex');

describe('NSM simulator over streams', () => {
  it('serves every call of a client', async () => {
    await using simulator = await served();
    const { nsm } = simulator;
    assert.equal((await nsm.describe()).maxPcrs, 32);
    const value = await nsm.extendPcr(16, Buffer.from('app'));
    await nsm.lockPcr(16);
    await nsm.lockPcrs(18);
    assert.deepEqual(await nsm.describePcr(16).then(({ locked, value: now }) => [locked, hex(now)]), [
      true,
      hex(value),
    ]);
    await assert.rejects(nsm.lockPcr(16), failsWith('NSM_READ_ONLY_INDEX'));
    assert.equal((await nsm.random()).length, 256);
    const full = { publicKey: Buffer.alloc(1024, 1), userData: Buffer.alloc(1024, 2), nonce: Buffer.alloc(1024, 3) };
    assert.ok((await nsm.attest(full)).length > 7000);
    assert.deepEqual(simulator.failures, []);
  });

  it('takes a request in pieces of one byte', async () => {
    await using simulator = await served();
    const socket = simulator.dial();
    await once(socket, 'connect');
    socket.setNoDelay(true);
    const bytes = frame(GET_RANDOM.length, GET_RANDOM);
    for (const byte of bytes.subarray(0, -1)) {
      socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const answer = await answerTo(socket, bytes.subarray(-1));
    assert.equal(answer.readUInt32BE(), answer.length - 4);
    assert.ok(decodeCbor(answer.subarray(4)) instanceof Map);
  });

  it('answers a request that is too long as the device does', async () => {
    await using simulator = await served();
    const answer = await answerTo(simulator.dial(), frame(0x1001, Buffer.alloc(0x1001)));
    assert.deepEqual(decodeCbor(answer.subarray(4)), new Map([['Error', 'InputTooLarge']]));
  });

  for (const [name, bytes, text] of [
    ['a frame that is longer than any', frame(0x3001), /12289 bytes.*12288/],
    ['a frame of 4 GiB', frame(0xffffffff), /4294967295/],
    ['bytes behind a frame', Buffer.concat([frame(GET_RANDOM.length, GET_RANDOM), Buffer.of(0)]), /1 bytes follow/],
    ['a frame that is cut off', frame(10, 'short'), /ended after 9 bytes/],
    ['no frame at all', Buffer.of(), /ended after 0 bytes/],
  ] as const) {
    it(`cuts a connection that sends ${name}`, async () => {
      await using simulator = await served();
      assert.equal((await answerTo(simulator.dial(), bytes, true)).length, 0);
      const [failure] = simulator.failures;
      assert.ok(failsWith('NSM_FRAME')(failure) && text.test(String(failure)), String(failure));
      assert.equal((await simulator.nsm.random()).length, 256);
    });
  }

  it('has 64 connections and no more', async () => {
    await using simulator = await served();
    const idle = Array.from({ length: 64 }, () => simulator.dial());
    await Promise.all(idle.map((socket) => once(socket, 'connect')));
    await assert.rejects(simulator.nsm.random(), NsmError);
    assert.ok(failsWith('NSM_BUSY')(simulator.failures[0]));
    for (const socket of idle.slice(1)) socket.on('error', () => undefined);
    idle[0]?.destroy();
    await until(async () => (await simulator.nsm.random().catch(() => undefined))?.length === 256);
  });

  it('cuts a connection that says nothing for 10 s', async () => {
    await using simulator = await served();
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const socket = simulator.dial();
      await once(socket, 'connect');
      const answer = answerTo(socket, Buffer.of(0));
      await until(async () => {
        mock.timers.tick(10_000);
        return simulator.failures.length > 0;
      });
      assert.equal((await answer).length, 0);
      assert.ok(failsWith('NSM_TIMEOUT')(simulator.failures[0]));
    } finally {
      mock.timers.reset();
    }
  });

  it('cuts the connection when the simulator fails, and says why', async () => {
    await using simulator = await served(async () => {
      throw new Error('no entropy');
    });
    await assert.rejects(simulator.nsm.random(), NsmError);
    assert.match(String(simulator.failures[0]), /no entropy/);
  });

  it('is told to a client as unreachable when nobody listens', async () => {
    const simulator = await served();
    await simulator[Symbol.asyncDispose]();
    await assert.rejects(simulator.nsm.random(), failsWith('NSM_UNREACHABLE'));
  });

  it('gives a client nothing but an answer or an NsmError, whatever comes back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 4 }), async (chunks) => {
        const nsm = new Nsm(streamTransport(() => Duplex.from({ readable: chunks, writable: new WritableStream() })));
        await assert.rejects(
          nsm.random(),
          (error) => error instanceof NsmError && ['NSM_FRAME', 'NSM_INVALID_RESPONSE'].includes(error.code),
        );
      }),
      { numRuns: 500 },
    );
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
