import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { AcmeBench, DOMAINS } from './acme-bench.ts';
import { linesOf, readLog, StatusReader, startOdyn } from './harness.ts';
import { echo } from './tls-bench.ts';

/** Against pebble, Let's Encrypt's own test server. */
describe('certificates by ACME', function () {
  this.timeout(60_000);

  it('are issued before the app is ready, and survive a restart', async () => {
    await using bench = await AcmeBench.start();
    const seen: string[] = [];
    for (const boot of [1, 2]) {
      const parent = await bench.parent();
      const argv = ['/bin/nc', '-ll', '-p', String(bench.port), '-e', '/bin/cat'];
      const files = { 'etc/acme-ca.pem': bench.pebble.ca, 'etc/kms-ca.pem': bench.world.ca };
      const spec = { argv, manifest: bench.manifestText, files };
      const { finished } = await startOdyn(parent, spec, { nsm: bench.world.nsm });
      if (boot === 1) await assert.rejects(bench.client(parent), 'there is a certificate too early');
      const status = await StatusReader.open(parent, { keep: true });
      await status.phase('ready');
      for (const servername of DOMAINS) {
        const client = await bench.client(parent, { servername });
        assert.ok(client.authorized);
        seen.push((client.getPeerX509Certificate() ?? assert.fail('no certificate')).serialNumber);
        await echo(client, Buffer.from('through'));
      }
      const log = readLog(parent);
      await bench.stop(parent);
      await finished;
      const lines = linesOf(await log, 'odyn').join('\n');
      assert.match(lines, boot === 1 ? /certificate issued/ : /certificate taken from the store/);
      assert.ok(!lines.includes('PRIVATE KEY'));
      bench.takeAway(parent);
    }
    assert.equal(new Set(seen).size, 1);
    assert.equal(bench.pebble.orders, 1);
    assert.ok(![...bench.store.values.values()].some(({ value }) => atob(value).includes('CERTIFICATE')));
  });

  it('that do not come do not hold up a stop', async () => {
    await using bench = await AcmeBench.start();
    bench.world.routes.clear();
    const parent = await bench.parent();
    const files = { 'etc/acme-ca.pem': bench.pebble.ca, 'etc/kms-ca.pem': bench.world.ca };
    const spec = { argv: ['/bin/true'], manifest: bench.manifestText, files };
    const { finished } = await startOdyn(parent, spec, { nsm: bench.world.nsm });
    const status = await StatusReader.open(parent);
    const log = readLog(parent);
    while (!parent.requests.some(({ host }) => host === 'acme.example')) await new Promise(setImmediate);
    await bench.stop(parent);
    const final = await status.final();
    assert.match(
      final.status === 'fatal' ? final.error : '',
      /^STOPPED: .* before ingress port \d+ had its certificates/,
    );
    assert.match(linesOf(await log, 'odyn').join('\n'), /ACME_UNREACHABLE: acme\.example:\d+ cannot be reached/);
    await finished;
  });

  it('are ordered by one of several replicas, shown by all, and renewed under open connections', async () => {
    await using bench = await AcmeBench.start({ lifeSeconds: 15 });
    const app = createServer((socket) => socket.pipe(socket)).listen(bench.port, '127.0.0.1');
    const replicas = [await bench.replica(), await bench.replica(), await bench.replica()];
    await Promise.all(replicas.map(({ opened }) => opened));
    assert.equal(bench.pebble.orders, 1);
    const clients = await Promise.all(replicas.map(({ parent }) => bench.client(parent)));
    const serial = async (index: number): Promise<string> => {
      // Clocks differ by less than these certificates live, but a busy machine may be slow
      const client = await bench.client(replicas[index]?.parent ?? assert.fail(), { rejectUnauthorized: false });
      const { serialNumber } = client.getPeerX509Certificate() ?? assert.fail('no certificate');
      client.destroy();
      return serialNumber;
    };
    const all = (): Promise<string[]> => Promise.all(replicas.map((_, index) => serial(index)));
    const first = new Set(await all());
    assert.equal(first.size, 1);
    let later = await all();
    while (later.some((each) => first.has(each))) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      later = await all();
    }
    assert.equal(new Set(later).size, 1);
    assert.equal(bench.pebble.orders, 2);
    for (const client of clients) await echo(client, Buffer.from('still the connection of before'));
    app.close();
    await once(app, 'close');
  });
});
