import assert from 'node:assert/strict';
import type { IngressPort } from '@enclaver/manifest';
import { type Relay, type RelayLimits, unixTransport } from '@enclaver/vsock';
import { PlainPort } from '../src/ingress/plain-port.ts';

const HOUR_MS = 3_600_000;

/** What the relay is told of a port: nobody waits for an hour or opens 16,384 connections to see it. */
async function boundsOf(entry: IngressPort): Promise<RelayLimits> {
  let told: RelayLimits | undefined;
  const relay: Pick<Relay, 'listen'> = {
    listen: async (_address, _target, bounds) => {
      told = bounds;
      return { address: {}, descriptor: -1, stats: assert.fail, retarget: assert.fail, close: async () => undefined };
    },
  };
  await PlainPort.open(unixTransport({ path: '/nowhere' }), relay as Relay, entry);
  return told ?? assert.fail('the relay was told nothing');
}

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
