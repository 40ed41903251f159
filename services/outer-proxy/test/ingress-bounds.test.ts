import assert from 'node:assert/strict';
import type { PublishedPort } from '@enclaver/bus';
import { unixTransport } from '@enclaver/vsock';
import { boundsTold } from '../../../libs/vsock/test/told-bounds.ts';
import { type Destination, openIngress } from '../src/ingress.ts';

describe('bounds of a published port', () => {
  it('are 10,000 connections, of which none is cut for being idle', async () => {
    const published: PublishedPort = { listenPort: 8080, host: '127.0.0.1', port: 0 };
    const to = { transport: unixTransport({ path: '/nowhere' }) } as Destination;
    const { maxConnections, idleTimeoutMs } = await boundsTold((relay) =>
      openIngress(relay, to, published, { held: false }),
    );
    assert.deepEqual([maxConnections, idleTimeoutMs], [10_000, 0]);
  });
});
