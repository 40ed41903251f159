import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Relay, type RelayLimits, type RelayRoute, type Screen } from '../src/index.ts';
import { Bench, bounds, readAll, until } from './support.ts';

/** A word and a space come first: "go " passes without them, "no " is refused. */
const byWord: Screen['decide'] = (first) => {
  const end = first.indexOf(' ');
  if (end < 0) return 'more';
  return first.toString('latin1', 0, end) === 'go' ? { pass: end + 1, head: Buffer.from('told: ') } : 'refuse';
};

describe('relay: first bytes decided upon', () => {
  let bench: Bench;
  let relay: Relay;
  let reached: number;

  beforeEach(async () => {
    bench = new Bench();
    relay = new Relay();
    bench.later(() => relay.close());
    reached = 0;
    await bench.serve(bench.path('t'), (socket) => {
      reached++;
      socket.pipe(socket);
    });
  });
  afterEach(async () => await bench.end());

  const route = async (screen: Partial<Screen> = {}, more: Partial<RelayLimits> = {}): Promise<RelayRoute> =>
    await relay.listen(
      { type: 'unix', path: bench.path('l') },
      { type: 'unix', path: bench.path('t') },
      { ...bounds, screen: { maxBytes: 16, timeoutMs: 5000, decide: byWord, ...screen }, ...more },
    );
  const dial = (): Promise<Socket> => bench.dial(bench.path('l'));
  /** What comes back; a reset, where bytes were left unread, is as good an end as any. */
  const answerOf = async (socket: Socket): Promise<string> => {
    socket.on('error', () => socket.destroy());
    return (await readAll(socket).catch(() => Buffer.from(''))).toString();
  };
  const ask = async (text: string): Promise<string> => {
    const socket = await dial();
    socket.end(text);
    return await answerOf(socket);
  };

  it('takes them away, puts others in their place, and loses none of what follows', async () => {
    const way = await route();
    assert.equal(await ask('go on'), 'told: on');
    assert.equal(await ask('go '), 'told: ');
    const much = 'some bytes '.repeat(300_000);
    assert.equal(await ask(`go ${much}`), `told: ${much}`);
    assert.equal(way.stats().accepted, 3);
    assert.equal(way.stats().active, 0);
  });

  it('waits for more of them', async () => {
    await route();
    const socket = await dial();
    for (const byte of 'go on') {
      socket.write(byte);
      await sleep(2);
    }
    socket.end();
    assert.equal((await readAll(socket)).toString(), 'told: on');
  });

  it('closes the refused before the target hears of them', async () => {
    const way = await route();
    assert.equal(await ask('no more of this'), '');
    assert.equal(await ask('go'), '');
    assert.equal(reached, 0);
    const { accepted, undecided, active } = way.stats();
    assert.deepEqual({ accepted, undecided, active }, { accepted: 0, undecided: 1, active: 0 });
  });

  it('closes those that are late, that end before, or that would need more than may be looked at', async () => {
    const way = await route({ timeoutMs: 200 });
    const [late, silent] = [await dial(), await dial()];
    late.write('g');
    assert.deepEqual(await Promise.all([answerOf(late), answerOf(silent)]), ['', '']);
    assert.equal(await ask('x'.repeat(16)), '');
    assert.equal(await ask('x'), '');
    assert.equal(await ask(''), '');
    assert.equal(way.stats().undecided, 5);
    assert.equal(await ask(`go ${'x'.repeat(100)}`), `told: ${'x'.repeat(100)}`);
  });

  it('takes of the rate only for those that pass', async () => {
    const way = await route({}, { rate: { perSecond: 1, burst: 2 } });
    for (let n = 0; n < 10; n++) await ask('no ');
    assert.equal(way.stats().rateLimited, 0);
    assert.deepEqual([await ask('go 1'), await ask('go 2')], ['told: 1', 'told: 2']);
    for (let n = 0; n < 10; n++) await ask('go x');
    assert.ok(way.stats().rateLimited > 0);
  });

  it('holds places while they wait', async () => {
    const way = await route({}, { maxConnections: 2 });
    const waiting = [await dial(), await dial()];
    await until('both wait', () => way.stats().active === 2);
    assert.equal(await ask('go on'), '');
    assert.equal(way.stats().refused, 1);
    for (const socket of waiting) socket.destroy();
    await until('they are gone', () => way.stats().active === 0);
    assert.equal(await ask('go on'), 'told: on');
  });

  it('is closed while some wait and others are being decided upon', async () => {
    for (let turn = 0; turn < 20; turn++) {
      const way = await route();
      const sockets = await Promise.all(Array.from({ length: 20 }, dial));
      for (const [n, socket] of sockets.entries()) {
        socket.on('error', () => socket.destroy()).resume();
        if (n % 2 === 0) socket.write('go on');
      }
      if (turn % 2 === 0) await sleep(turn / 4);
      await way.close({ drainMs: turn % 3 });
      for (const socket of sockets) socket.destroy();
    }
  });

  it('may close its relay out of a decision', async () => {
    await route({
      decide: () => {
        void relay.close();
        return { pass: 1 };
      },
    });
    assert.equal(await ask('go on'), '');
    await relay.close();
  });

  it('is served by several threads, each connection by its own bytes', async () => {
    const wide = new Relay({ threads: 3 });
    bench.later(() => wide.close());
    await wide.listen(
      { type: 'unix', path: bench.path('l') },
      { type: 'unix', path: bench.path('t') },
      {
        ...bounds,
        screen: {
          maxBytes: 16,
          timeoutMs: 5000,
          decide: (first) => (first.length < 4 ? 'more' : { pass: 4, head: first.subarray(0, 4) }),
        },
      },
    );
    const one = async (n: number): Promise<void> => {
      const text = `${String(n).padStart(4, '0')} and more`;
      assert.equal(await ask(text), text);
    };
    for (let turn = 0; turn < 5; turn++) await Promise.all(Array.from({ length: 60 }, (_, n) => one(n)));
  });

  it('refuses options out of range, and a screen beside a header of its own', async () => {
    await assert.rejects(route({ maxBytes: 0 }), { code: 'OPTION_INVALID' });
    await assert.rejects(route({ timeoutMs: 0 }), { code: 'OPTION_INVALID' });
    await assert.rejects(route({}, { proxyHeader: true }), { code: 'OPTION_INVALID' });
  });
});
