import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../harness.ts';

const SETTING = 'mount --bind "$0" /etc/resolv.conf && busybox ifconfig lo up && exec "$@"';

describe('transparent egress', () => {
  let results: Record<string, unknown> & { log: string[]; counts: Record<string, number> };

  before(async function () {
    this.timeout(60_000);
    if (process.getuid?.() !== 0) throw new Error('routes and namespaces are root’s to make: run these tests as root');
    const folder = await mkdtemp(join(tmpdir(), 'transparent-test-'));
    const resolvers = join(folder, 'resolv.conf');
    await writeFile(resolvers, 'nameserver 127.0.0.1\n');
    const world = [process.execPath, join(import.meta.dirname, 'world.ts')];
    const { stdout } = await run('unshare', ['-n', '-m', 'sh', '-c', SETTING, resolvers, ...world]);
    results = JSON.parse(stdout) as typeof results;
    await rm(folder, { recursive: true });
  });

  const expected: Record<string, [title: string, result: unknown]> = {
    curl: ['reaches a name that is allowed', 'you asked allowed.com/a?b'],
    address: ['reaches an address that is allowed', 'you asked x/'],
    address6: ['reaches an IPv6 address that is allowed', 'you asked x/'],
    bulk: ['carries what is sent both ways', 5_000_000],
    own: ['leaves loopback to the app', 'my own'],
    again: ['gives a name the same address again', ['198.18.0.1']],
    lookup: ['satisfies the C library', [{ address: '198.18.0.1', family: 4 }]],
    localhost: ['knows localhost', ['127.0.0.1']],
    aaaa: ['has no IPv6 address for a name', 'ENODATA'],
    mx: ['has nothing but addresses', 'ENODATA'],
    ptr: ['names the address of a name', ['allowed.com']],
    ptrOther: ['names no other address', 'ENOTFOUND'],
    refusedAddress: ['cuts a connection to an address that is not allowed', 'ECONNRESET'],
    refusedAddress6: ['cuts one to an IPv6 address that is not allowed', 'ECONNRESET'],
    metadata: ['cuts one to the metadata service', 'ECONNRESET'],
    refusedName: ['does not find a name that is denied', 'ENOTFOUND'],
    unknownName: ['does not find a name that no rule allows', 'ENOTFOUND'],
    refusedPort: ['cuts a connection to a port that is not allowed', 'ECONNRESET'],
    ledAstray: ['cuts one that led to a special address', 'ECONNRESET'],
    down: ['cuts one that the parent could not make', 'ECONNRESET'],
    unknownStandIn: ['cuts one to an address that stands for no name', 'ECONNRESET'],
    udp: ['lets no datagram out, and says so at once', 'ENETUNREACH'],
    unroutable: ['counts those datagrams', 2],
    udpToName: ['lets no datagram out to a name', 'ENETUNREACH'],
  };
  for (const [key, [title, result]] of Object.entries(expected)) {
    it(title, () => assert.deepEqual(results[key], result));
  }

  it('has names decided and looked up as names', () => {
    const { requests } = results;
    assert.deepEqual(requests, [
      { host: 'allowed.com', port: 80, report: true },
      { host: '192.0.2.1', port: 8080, report: true },
      { host: '2001:db8::1', port: 80, report: true },
      { host: '192.0.2.1', port: 7, report: true },
      { host: 'inside.com', port: 80, report: true },
      { host: 'down.com', port: 80, report: true },
    ]);
  });

  it('logs and counts what was refused, with the rule', () => {
    const { log, counts } = results;
    const refused = (destination: string, rule: string): boolean =>
      log.some((line) => line.includes('egress refused') && line.includes(destination) && line.includes(rule));
    assert.ok(refused('"1.2.3.4:80"', 'no allow rule'));
    assert.ok(refused('"[2001:db9::1]:80"', 'no allow rule'));
    assert.ok(refused('"secure.org:80"', 'no allow rule'));
    assert.ok(refused('"evil.com"', 'deny evil.com'));
    assert.ok(refused('"inside.com:80"', 'link-local'));
    assert.ok(refused('"198.18.77.77:80"', 'no name stands behind'));
    assert.deepEqual(counts, { opened: 4, refused: 6, namesRefused: counts.namesRefused, failed: 1 });
    assert.ok((counts.namesRefused ?? 0) >= 2);
    // The C library asks more than once
    assert.equal(log.filter((line) => line.includes('"evil.com"')).length, 1);
  });
});
