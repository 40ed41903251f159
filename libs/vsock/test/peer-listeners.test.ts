import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { limits } from '../src/limits.ts';
import { PeerListeners } from '../src/peer-listeners.ts';
import type { VsockStream } from '../src/stream.ts';

describe('listeners of several peers at one vsock port', () => {
  const opened: { port: number; closed: boolean; onStream: (stream: VsockStream) => void }[] = [];
  const make = () =>
    new PeerListeners((port, onStream) => {
      const listener = { port, closed: false, onStream };
      opened.push(listener);
      return {
        descriptor: -1,
        acceptErrors: 0,
        close: () => {
          listener.closed = true;
        },
      };
    });

  /** What a stream of this CID comes to: the names that took it, or `destroyed`. */
  function arrive(cid: number, seen: string[]): PassThrough {
    const stream = Object.assign(new PassThrough(), { peerCid: cid });
    opened.at(-1)?.onStream(stream as unknown as VsockStream);
    if (stream.destroyed) seen.push('destroyed');
    return stream;
  }

  it('gives each peer its own streams over one socket, and strangers none', () => {
    const listeners = make();
    const seen: string[] = [];
    const a = listeners.listen(17002, [16], () => seen.push('a'));
    const sockets = opened.length;
    const b = listeners.listen(17002, [17], () => seen.push('b'));
    assert.equal(opened.length, sockets);
    for (const cid of [17, 16, 18]) arrive(cid, seen);
    assert.deepEqual(seen, ['b', 'a', 'destroyed']);
    a.close();
    a.close();
    arrive(16, seen);
    assert.equal(seen.at(-1), 'destroyed');
    assert.equal(opened.at(-1)?.closed, false);
    b.close();
    assert.equal(opened.at(-1)?.closed, true);
  });

  it('bounds the open streams of each peer, and none of another’s', async () => {
    const listeners = make();
    const seen: string[] = [];
    for (const [cid, name] of [
      [16, 'a'],
      [17, 'b'],
    ] as const) {
      listeners.listen(17002, [cid], () => seen.push(name));
    }
    const open = Array.from({ length: limits.listenerStreams }, () => arrive(16, seen));
    assert.ok(!seen.includes('destroyed'));
    for (const cid of [16, 17]) arrive(cid, seen);
    assert.deepEqual(seen.slice(-2), ['destroyed', 'b']);
    open[0]?.destroy();
    await once(open[0] as PassThrough, 'close');
    for (const cid of [16, 16]) arrive(cid, seen);
    assert.deepEqual(seen.slice(-2), ['a', 'destroyed']);
  });

  it('refuses a second listener for one peer, and opens anew after the last was closed', () => {
    const listeners = make();
    const first = listeners.listen(9000, [16], () => undefined);
    assert.throws(() => listeners.listen(9000, [16], () => undefined), { code: 'ADDRESS_IN_USE' });
    first.close();
    const sockets = opened.length;
    listeners.listen(9000, [16], () => undefined);
    assert.equal(opened.length, sockets + 1);
  });
});
