import assert from 'node:assert/strict';
import type { IngressPort } from '@enclaver/manifest';
import { unixTransport } from '@enclaver/vsock';
import { boundsTold } from '../../libs/vsock/test/told-bounds.ts';
import { PlainPort } from '../src/ingress/plain-port.ts';

const HOUR_MS = 3_600_000;

const boundsOf = (entry: IngressPort) =>
  boundsTold((relay) => PlainPort.open(unixTransport({ path: '/nowhere' }), relay, entry));

describe('bounds of an ingress port', () => {
  it('are 16,384 connections and an hour without a byte, where the manifest says nothing', async () => {
    const { maxConnections, idleTimeoutMs, rate, screen } = await boundsOf({ listenPort: 8080 });
    assert.deepEqual(
      { maxConnections, idleTimeoutMs, rate, screen },
      {
        maxConnections: 16_384,
        idleTimeoutMs: HOUR_MS,
        rate: undefined,
        screen: undefined,
      },
    );
  });

  it('are those of the manifest, where it says any', async () => {
    const { maxConnections, idleTimeoutMs } = await boundsOf({
      listenPort: 8080,
      maxConnections: 7,
      idleTimeoutSeconds: 9,
    });
    assert.deepEqual([maxConnections, idleTimeoutMs], [7, 9_000]);
  });

  it('are 5 s for a PROXY header, where the manifest looks at clients', async () => {
    const { screen } = await boundsOf({ listenPort: 8080, proxyProtocol: true });
    assert.equal(screen?.timeoutMs, 5_000);
  });
});
