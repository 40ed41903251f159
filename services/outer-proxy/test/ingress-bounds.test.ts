import assert from 'node:assert/strict';
import type { PublishedPort } from '@enclaver/bus';
import { type Relay, type RelayLimits, unixTransport } from '@enclaver/vsock';
import { type Destination, openIngress } from '../src/ingress.ts';

describe('bounds of a published port', () => {
  it('are 10,000 connections, of which none is cut for being idle', async () => {
    // What the relay is told: nobody opens 10,000 connections to see it
    let told: RelayLimits | undefined;
    const relay: Pick<Relay, 'listen'> = {
      listen: async (_address, _target, bounds) => {
        told = bounds;
        return { address: {}, descriptor: -1, stats: assert.fail, retarget: assert.fail, close: async () => undefined };
      },
    };
    const published: PublishedPort = { listenPort: 8080, host: '127.0.0.1', port: 0 };
    const to = { transport: unixTransport({ path: '/nowhere' }) } as Destination;
    await openIngress(relay as Relay, to, published, { held: false });
    assert.equal(told?.maxConnections, 10_000);
    assert.equal(told.idleTimeoutMs, 0);
  });
});
