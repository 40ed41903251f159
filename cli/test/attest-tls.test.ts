import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:tls';
import { Nsm } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator } from '@enclaver/attestation/simulator';
import { AttestedSource } from '../../odyn/src/ingress/certificates/attested.ts';
import { limits } from '../../odyn/src/limits.ts';
import { LogRing } from '../../odyn/src/logs/log-ring.ts';
import { OdynLog } from '../../odyn/src/logs/odyn-log.ts';
import { type Ended, type Workplace, workplace } from './trust-support.ts';

const root = DevelopmentRoot.create();
const PCR0 = 'a0'.repeat(48);
const measurements = { PCR0, PCR1: 'b1'.repeat(48), PCR2: 'c2'.repeat(48) };
const failed = ({ stderr }: Ended): string[] => [...stderr.matchAll(/^error\[(\w+)\]/gm)].map(([, code = '']) => code);

describe('enclaver attest tls', function () {
  this.timeout(60_000);

  let place: Workplace;
  let server: Server;
  let source: AttestedSource;
  let address: string;

  before(async () => {
    const nsm = new Nsm(new NsmSimulator({ root, measurements }).request);
    const log = new OdynLog(new LogRing(limits.logRingBytes));
    source = new AttestedSource({ source: 'attested', names: ['enclave.example'] }, { port: 443, nsm, log });
    const { key, certificates } = await source.start(() => {});
    server = createServer({ key, cert: certificates }, (socket) => socket.on('error', () => {}).resume());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    place = await workplace();
    await place.write('root.pem', root.pem);
  });

  after(async () => {
    source.close();
    server.close();
    await place[Symbol.asyncDispose]();
  });

  const attest = (...args: string[]): Promise<Ended> => place.enclaver('attest', 'tls', ...args);

  it('prints the document, the verdict, and the pin of the key that answers', async () => {
    const { code, stdout, stderr } = await attest(address, '--pcr0', PCR0, '--root', 'root.pem', '--max-age', '1h');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, new RegExp(`^PCR0 +${PCR0}$`, 'm'));
    assert.match(stdout, /^pin +sha256\/\/[A-Za-z0-9+/]{43}=$/m);
    assert.match(stdout, /^verified at /m);
    const json = JSON.parse((await attest(address, '--pcr0', PCR0, '--root', 'root.pem', '-o', 'json')).stdout);
    assert.equal(json.verdict, 'verified');
    assert.ok(stdout.includes(json.pin));
  });

  it('refuses another image, another root and what is no attested TLS, with a code for each', async () => {
    const other = await attest(address, '--pcr0', 'ab'.repeat(48), '--pcr1', 'cd'.repeat(48), '--root', 'root.pem');
    assert.deepEqual([other.code, failed(other)], [1, ['ATTESTATION_PCR', 'ATTESTATION_PCR']]);
    assert.deepEqual(failed(await attest(address, '--pcr0', PCR0)), ['ATTESTATION_ROOT']);
    assert.match(other.stdout, /^refused: ATTESTATION_PCR$/m);
  });

  it('says what is wrong with the call or the connection', async () => {
    assert.deepEqual(failed(await attest(address)), ['USAGE']);
    assert.deepEqual(failed(await attest('127.0.0.1:1', '--pcr0', PCR0)), ['ATTEST_CONNECT']);
    for (const wrong of ['127.0.0.1', 'host:0', 'host:65536', 'a b:1', '[::1:1']) {
      assert.equal((await attest(wrong, '--pcr0', PCR0)).code, 2);
    }
  });
});
