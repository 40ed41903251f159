import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:https';
import { Nsm } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator } from '@enclaver/attestation/simulator';
import { AttestedAgent, type AttestedPeer, connectAttested } from '@enclaver/attestation/tls';
import { echo, TlsBench } from './tls-bench.ts';

const HOUR = 3_600_000;
const root = DevelopmentRoot.create({ now: new Date(Date.now() - 24 * HOUR) });
const measurements = { PCR0: 'a0'.repeat(48), PCR1: 'b1'.repeat(48), PCR2: 'c2'.repeat(48) };
const pcrs = new Map([[0, Buffer.from(measurements.PCR0, 'hex')]]);
const ATTESTED = 'certificates: [{ attested: { names: [enclave.example] } }]';

describe('ingress with attested TLS', function () {
  this.timeout(30_000);

  let bench: TlsBench;
  const peer = (changes: Partial<AttestedPeer['expect']> = {}): AttestedPeer => ({
    roots: [new Uint8Array(root.certificate)],
    expect: { pcrs, ...changes },
  });

  beforeEach(async () => {
    bench = await TlsBench.make();
  });

  afterEach(() => bench.close());

  /** `leftMs`: how long the document's own certificate is valid yet. */
  async function start(leftMs = 3 * HOUR): Promise<void> {
    const now = (): Date => new Date(Date.now() - 3 * HOUR + leftMs);
    bench.nsm = new Nsm(new NsmSimulator({ root, measurements, now }).request);
    await bench.start(ATTESTED);
  }

  const connect = async (to = peer()) =>
    connectAttested({ socket: await bench.parent.dial(bench.port), servername: 'enclave.example' }, to);

  it('shows a certificate with a document about its own key', async () => {
    await start();
    const { socket, document, publicKey } = await connect(peer({ maxAgeMs: 60_000 }));
    assert.deepEqual(document.publicKey, publicKey);
    const shown = socket.getPeerX509Certificate();
    assert.equal(shown?.subjectAltName, 'DNS:enclave.example');
    assert.ok(shown !== undefined && shown.validToDate.getTime() <= Date.now() + 3 * HOUR);
    await echo(socket, Buffer.from('to the enclave'));
  });

  it('is refused by a client that expects another image', async () => {
    await start();
    const other = new Map([[0, Buffer.alloc(48, 1)]]);
    await assert.rejects(connect(peer({ pcrs: other })), { code: 'ATTESTATION_PCR' });
    await assert.rejects(connect({ expect: { pcrs } }), { code: 'ATTESTATION_ROOT' });
  });

  it('renews key, document and certificate, and leaves connections alone', async () => {
    await start(6_000);
    const before = await connect();
    let after = before.publicKey;
    while (Buffer.compare(before.publicKey, after) === 0) {
      const next = await connect();
      next.socket.destroy();
      after = next.publicKey;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await echo(before.socket, Buffer.from('still there'));
  });

  it('is checked by an agent for each connection, before a request goes over it', async () => {
    await start();
    const port = await bench.tcp();
    // The app gives the request back, which is no answer of HTTP
    const ask = (agent: AttestedAgent): Promise<unknown> => once(get({ host: '127.0.0.1', port, agent }), 'response');
    await assert.rejects(ask(new AttestedAgent(peer())), { code: 'HPE_INVALID_CONSTANT' });
    await assert.rejects(ask(new AttestedAgent({ expect: { pcrs } })), { code: 'ATTESTATION_ROOT' });
  });

  it('needs an NSM', async () => {
    assert.match((await bench.fatal(ATTESTED)).error, /^NSM_MISSING: .*attested/);
  });
});
