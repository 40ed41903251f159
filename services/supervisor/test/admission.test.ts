import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnclaveRecord } from '@enclaver/bus';
import { readEif } from '@enclaver/eif';
import invalid from '../../../libs/eif/test/vectors/eif-invalid.json' with { type: 'json' };
import { writeSmallImage } from './small-image.ts';
import { TestHost } from './test-host.ts';

describe('admission of enclaves', () => {
  const host = TestHost.use();

  it('refuses what cannot run before anything starts', async () => {
    await assert.rejects(host.run({ eif: '/nowhere.eif' }), { code: 'EIF_NOT_FOUND' });
    await assert.rejects(host.run({ publish: [{ listenPort: 9090, host: '127.0.0.1', port: 0 }] }), {
      code: 'PORT_NOT_IN_MANIFEST',
    });
    const bare = join(host.folder, 'bare.eif');
    await writeSmallImage(bare, { manifest: '' });
    await assert.rejects(host.run({ eif: bare }), { code: 'EIF_NO_MANIFEST' });
    await writeSmallImage(bare, { launch: '{"version":2}' });
    await assert.rejects(host.run({ eif: bare }), { code: 'LAUNCH_INVALID' });
    await assert.rejects(host.supervisor.handlers.stop({ id: 'e-000000000000' }), { code: 'ENCLAVE_NOT_FOUND' });
    const expired = invalid.cases.find(({ name }) => name === 'signature-certificate-expired');
    await writeFile(bare, Buffer.from(expired?.eif_b64 ?? '', 'base64'));
    await assert.rejects(host.run({ eif: bare }), { code: 'EIF_SIGNATURE' });
    const { measurements } = await readEif(host.eif);
    await assert.rejects(
      host.run({ expect: { ...measurements, PCR2: 'ab'.repeat(48) } }),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'MEASUREMENTS_DIFFER');
        assert.ok(error.message.includes(measurements.PCR2) && !error.message.includes(measurements.PCR0));
        return true;
      },
    );
    assert.deepEqual(host.seen, []);
    await host.run({ expect: measurements });
    await assert.rejects(host.run(), { code: 'NAME_IN_USE' });
    await host.run({ name: 'other' });
    assert.deepEqual(
      (await host.supervisor.handlers.list({})).enclaves.map(({ name }) => name),
      ['hello', 'other'],
    );
  });

  it('publishes no more ports of one enclave than go to another outer-proxy at once', async () => {
    const publish = Array.from({ length: 253 }, (_, index) => ({
      ...{ listenPort: 8080, host: '127.0.0.1', port: 8080, protocol: 'http' as const },
      route: { host: `h${index}.example.com` },
    }));
    await assert.rejects(host.run({ publish }), { code: 'TOO_MANY_PORTS', message: /^253 / });
    assert.equal((await host.run({ publish: publish.slice(1) })).ingress.length, 252);
  });

  it('publishes each port of the manifest on loopback, or everywhere when told so', async () => {
    assert.deepEqual((await host.run()).ingress, [{ listenPort: 8080, host: '127.0.0.1', port: 8080 }]);
    const open = await host.run({ name: 'open', publishAll: true });
    assert.deepEqual(open.ingress, [{ listenPort: 8080, host: '0.0.0.0', port: 8080 }]);
  });

  it('has the peer reported to the ports whose manifest looks at it, and only there', async () => {
    const ports = '\ningress:\n  - listen_port: 1\n  - {listen_port: 2, clients: {deny: [192.0.2.1]}}\n';
    const manifest = `version: v1\nname: hello\ntarget: a:b\nsources: {app: a}${ports}  - {listen_port: 3, proxy_protocol: true}\n`;
    await writeSmallImage(host.eif, { manifest });
    const reported = ({ ingress }: EnclaveRecord) => ingress.filter(({ reportPeer }) => reportPeer === true);
    const all = await host.run();
    assert.deepEqual(
      reported(all).map(({ listenPort }) => listenPort),
      [2, 3],
    );
    const publish = [1, 2].map((listenPort) => ({
      listenPort,
      host: '127.0.0.1',
      port: 0,
      reportPeer: listenPort === 1,
    }));
    const chosen = await host.run({ name: 'chosen', publish });
    assert.deepEqual(
      reported(chosen).map(({ listenPort }) => listenPort),
      [2],
    );
  });
});
