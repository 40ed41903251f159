import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { on } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { enclaver as here } from '../stack/enclaver.ts';
import { Network } from '../stack/network.ts';

const checkout = resolve(import.meta.dirname, '../..');
const enclaver = join(checkout, 'cli/bin/enclaver');
const parents = ['red', 'green', 'blue'];

describe('fleet', function () {
  this.timeout(180_000);

  let work: string;
  let network: Network;

  const inWork = (...names: string[]): string => join(work, ...names);
  const node = (script: string, ...args: string[]): string[] => [process.execPath, join(checkout, script), ...args];
  const fleet = { ENCLAVER_FLEET: '', XDG_CACHE_HOME: '' };

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-fleet-'));
    fleet.ENCLAVER_FLEET = inWork('hub/fleet.json');
    fleet.XDG_CACHE_HOME = inWork('cache');
    network = await Network.make(parents);
    const address = network.hubAddress;
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=hub'];
    const names = ['-addext', `subjectAltName=IP:${address}`, '-keyout', inWork('hub.key'), '-out', inWork('hub.pem')];
    execFileSync('openssl', ['req', '-x509', ...key, ...names], { stdio: 'ignore' });
    const tls = ['--tls-cert', inWork('hub.pem'), '--tls-key', inWork('hub.key'), '--tls-ca', inWork('hub.pem')];
    const init = ['fleet', 'init', address, ...parents, '--dir', inWork('hub'), '--listen', address, ...tls];
    assert.equal((await here(init)).code, 0);
    network.start('hub', ['nats-server', '-c', inWork('hub/nats.conf')]);
    await Promise.all(parents.map(startParent));
  });

  after(async () => {
    await network?.[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  async function startParent(name: string): Promise<void> {
    const dirs = ['--stack-dir', inWork(name), '--data-dir', inWork(name, 'data')];
    const link = inWork('hub/hosts', `${name}.json`);
    await network.run(name, [enclaver, 'bus', 'init', ...dirs, '--fleet', link]);
    network.start(name, ['nats-server', '-c', inWork(name, 'bus/nats.conf')]);
    network.start(name, node('services/supervisor/src/main.ts'), {
      ENCLAVER_BUS: inWork(name, 'bus/supervisor.json'),
      ENCLAVER_RUN_DIR: inWork(name, 'run'),
      ENCLAVER_NSM_DIR: inWork(name, 'nsm'),
      ENCLAVER_BACKEND: 'qemu',
    });
    await tell(name);
  }

  /** Something happens to an enclave of this parent. */
  const tell = (name: string, ...events: string[]) =>
    network.run(name, node('test/fleet/tell.ts', inWork(name, 'bus/supervisor.json'), name, ...events));

  /** What `ps --fleet` says of each parent. */
  async function ps(): Promise<Record<string, string>> {
    const { stdout } = await network.run('hub', [enclaver, 'ps', '--fleet', '--all', '-o', 'json'], fleet);
    const hosts: { host: string; away?: { code: string }; enclaves?: { name: string }[] }[] = JSON.parse(stdout);
    return Object.fromEntries(
      hosts.map(({ host, away, enclaves }) => [host, away?.code ?? enclaves?.map(({ name }) => name).join() ?? '']),
    );
  }

  async function until(wanted: Record<string, string>): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const found = await ps();
      if (JSON.stringify(found) === JSON.stringify(wanted)) return;
      if (attempt === 20) assert.deepEqual(found, wanted);
      await sleep(500);
    }
  }

  const all = { red: 'red', green: 'green', blue: 'blue' };

  it('shows the enclaves of every parent on the hub', async () => {
    await until(all);
    const { stdout } = await network.run('hub', [enclaver, 'ps', '--fleet', '--all'], fleet);
    for (const parent of parents)
      assert.match(stdout, new RegExp(`^${parent} +e-[0-9a-f]{12} +${parent} +exited`, 'm'));
  });

  it('lets the hub look, and do nothing', async () => {
    const ask = async (subject: string): Promise<string> =>
      (await network.run('hub', node('test/fleet/request.ts', fleet.ENCLAVER_FLEET, subject))).stdout;
    assert.match(await ask('host.red.enclaver.v1.supervisor.list'), /BUS_MESSAGE_INVALID/);
    for (const subject of ['enclaver.v1.supervisor.stop', '$JS.API.STREAM.INFO.ENCLAVER_EVENTS']) {
      assert.equal(await ask(`host.red.${subject}`), 'PERMISSIONS_VIOLATION');
    }
  });

  it('opens its passwords to nobody else', async () => {
    const hosts = parents.map((name) => `hub/hosts/${name}.json`);
    const links = parents.map((name) => `${name}/bus/nats.conf`);
    for (const file of ['hub/fleet.json', 'hub/nats.conf', ...hosts, ...links])
      assert.equal((await stat(inWork(file))).mode & 0o777, 0o600, file);
  });

  it('does not listen off loopback without TLS', async () => {
    const { code, stderr } = await here(['fleet', 'init', 'hub', 'red', '--listen', '10.0.0.1', '--dir', inWork('no')]);
    assert.equal(code, 1);
    assert.match(stderr, /^error\[BUS_TLS_REQUIRED\]/);
  });

  it('names a parent that is cut off, and loses no event of the meantime', async () => {
    const watch = network.start('hub', [enclaver, 'events', '--fleet', '--replay', '-o', 'json'], fleet);
    assert.ok(watch.stdout);
    const lines = on(createInterface(watch.stdout), 'line', { close: ['close'] });
    const next = async (): Promise<string> => {
      const { done, value } = await lines.next();
      assert.ok(!done, 'the command ended');
      const { host, data } = JSON.parse(value[0]);
      return `${host} ${data.reason}`;
    };

    await tell('green', 'before');
    assert.equal(await next(), 'green before');

    await network.cut('green');
    await tell('green', 'while away', 'still away');
    await tell('red', 'meanwhile');
    assert.equal(await next(), 'red meanwhile');
    assert.deepEqual(await ps(), { ...all, green: 'FLEET_HOST_AWAY' });
    const { stdout } = await network.run('hub', [enclaver, 'ps', '--fleet', '--all'], fleet);
    assert.match(stdout, /^green +- +- +away: green did not answer within 5 s; seen \d+ s ago$/m);
    assert.match(stdout, /^green +e-[0-9a-f]{12} +green +exited: code 0 \(\d+ s ago\)/m);
    assert.match(stdout, /^red +e-[0-9a-f]{12} +red +exited: code 0 +0/m);
    const running = (await network.run('hub', [enclaver, 'ps', '--fleet'], fleet)).stdout;
    assert.doesNotMatch(running, /^green +e-/m);
    const stranger = { ...fleet, XDG_CACHE_HOME: inWork('other-cache') };
    const unknown = (await network.run('hub', [enclaver, 'ps', '--fleet', '--all'], stranger)).stdout;
    assert.match(unknown, /^green +- +- +away: green did not answer within 5 s$/m);

    await network.heal('green');
    assert.equal(await next(), 'green while away');
    assert.equal(await next(), 'green still away');
    await until(all);
    await tell('green', 'after');
    assert.equal(await next(), 'green after');
  });
});
