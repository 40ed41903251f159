import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IngressPort } from '@enclaver/manifest';
import { AppCgroup } from '../src/launcher/app-cgroup.ts';
import { writeEtcFiles } from '../src/launcher/etc-files.ts';
import { planMemory } from '../src/launcher/memory-plan.ts';
import { limits } from '../src/limits.ts';
import { OdynError } from '../src/odyn-error.ts';

const failsWith = (code: string) => (error: unknown) => error instanceof OdynError && error.code === code;

describe("files that container engines put into an app's root", () => {
  let folder: string;
  let root: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'etc-files-'));
    root = join(folder, 'root');
    await mkdir(root);
  });
  afterEach(() => rm(folder, { recursive: true }));

  const read = (name: string) => readFile(join(root, 'etc', name), 'utf8');

  it('are there where the image has none', async () => {
    writeEtcFiles(root);
    const hosts = (await read('hosts')).split('\n').map((line) => line.split(/\s+/));
    assert.deepEqual(hosts[0], ['127.0.0.1', 'localhost', 'enclave']);
    assert.ok(hosts.some(([address, name]) => address === '::1' && name === 'localhost'));
    assert.equal(await read('hostname'), 'enclave\n');
    assert.equal(await read('resolv.conf'), 'nameserver 127.0.0.1\n');
    assert.equal((await stat(join(root, 'etc/hosts'))).mode & 0o777, 0o644);
  });

  it("replace the image's own, and links without following them", async () => {
    await mkdir(join(root, 'etc'));
    await writeFile(join(root, 'etc/hosts'), '10.0.0.1 database\n');
    const outside = join(folder, 'outside');
    await writeFile(outside, 'untouched');
    await symlink(outside, join(root, 'etc/resolv.conf'));
    await symlink('/nowhere', join(root, 'etc/hostname'));
    writeEtcFiles(root);
    assert.doesNotMatch(await read('hosts'), /database/);
    assert.equal(await readFile(outside, 'utf8'), 'untouched');
    for (const name of ['hosts', 'hostname', 'resolv.conf']) {
      assert.ok((await lstat(join(root, 'etc', name))).isFile(), name);
    }
  });

  it('stay in the root when /etc is a link out of it', async () => {
    await mkdir(join(root, 'real-etc'));
    await symlink('/../../real-etc', join(root, 'etc'));
    writeEtcFiles(root);
    assert.equal(await readFile(join(root, 'real-etc/hostname'), 'utf8'), 'enclave\n');
  });

  it('say what stands in their way', async () => {
    await mkdir(join(root, 'etc/hosts/folder'), { recursive: true });
    assert.throws(() => writeEtcFiles(root), failsWith('ETC_UNWRITABLE'));
    await rm(join(root, 'etc'), { recursive: true });
    await writeFile(join(root, 'etc'), '');
    assert.throws(() => writeEtcFiles(root), failsWith('ETC_UNWRITABLE'));
  });
});

describe("the app's memory", () => {
  const MIB = 1024 * 1024;
  const available = (mib: number) =>
    `MemTotal: 9999999 kB\nMemFree: 5 kB\nMemAvailable: ${mib * 1024} kB\nBuffers: 1 kB\n`;

  const entry = (maxConnections?: number): IngressPort => ({
    listenPort: 443,
    tls: { certificates: [], alpn: [] },
    ...(maxConnections === undefined ? {} : { maxConnections }),
  });
  const plan = (mib: number, memoryMb?: number, ...ingress: IngressPort[]) =>
    planMemory(available(mib), { ingress, limits: { pids: 1, ...(memoryMb === undefined ? {} : { memoryMb }) } });

  it('is what is available but for a reserve, which is small on a small machine', () => {
    assert.equal(plan(4000).appBytes, 3936 * MIB);
    assert.equal(plan(100).appBytes, 75 * MIB);
    assert.equal(plan(4000, undefined, { listenPort: 80 }).appBytes, 3936 * MIB);
  });

  it('is what the manifest says, as far as it is there', () => {
    assert.equal(plan(4000, 100).appBytes, 100 * MIB);
    assert.equal(plan(4000, 5000).appBytes, 3936 * MIB);
  });

  it('is not what clients with TLS may take, and they are no more than that is for', () => {
    for (const [mib, ports] of [
      [200, 1],
      [1_000, 2],
      [4_000, 1],
      [4_000, 2],
      [16_000, 1],
    ] as const) {
      const { appBytes, tlsConnections, coversTls } = plan(mib, undefined, ...Array(ports).fill(entry()));
      const rest = mib * MIB - appBytes;
      assert.ok(ports * tlsConnections * limits.tlsClientBytes <= rest, `${ports} ports in ${mib} MiB`);
      assert.ok(rest <= mib * MIB * (limits.memoryReserveShare + limits.tlsMemoryShare));
      assert.ok(coversTls && tlsConnections >= limits.tlsConnectionsLeast);
    }
    assert.equal(plan(4000, 1000, entry()).tlsConnections, limits.tlsConnections);
  });

  it('may be taken by clients with TLS where there is little of it, or where there are many ports, and then that is said', () => {
    for (const [mib, ports] of [
      [60, 1],
      [200, 2],
      [900, 8],
    ] as const) {
      const { tlsConnections, coversTls } = plan(mib, undefined, ...Array(ports).fill(entry()));
      assert.deepEqual([tlsConnections, coversTls], [limits.tlsConnectionsLeast, false]);
    }
  });

  it('is not touched by a number of connections that the manifest names, if there is so much', () => {
    assert.deepEqual(plan(4000, undefined, entry(160)), {
      appBytes: (3936 - 100) * MIB,
      tlsConnections: limits.tlsConnections,
      coversTls: true,
    });
    assert.equal(plan(4000, undefined, entry(4096)).coversTls, false);
    assert.equal(plan(4000, 1000, entry(4096)).coversTls, true);
  });

  it('is not guessed', () => {
    assert.throws(() => planMemory('MemTotal: 1 kB\n', { ingress: [], limits: { pids: 1 } }), failsWith('CGROUP'));
  });
});

/** Files in the place of the kernel's: what is written is looked at, what it does is seen in test/e2e/inside.test.ts. */
describe("the app's cgroup", () => {
  let tree: string;

  beforeEach(async () => {
    tree = await mkdtemp(join(tmpdir(), 'cgroup-'));
  });
  afterEach(() => rm(tree, { recursive: true }));

  it('has the bounds, and ends all that is in it', async () => {
    await writeFile(join(tree, 'cgroup.controllers'), 'cpuset cpu memory pids\n');
    const cgroup = AppCgroup.make(tree, { memoryBytes: 1234, pids: 56 });
    assert.ok(cgroup);
    cgroup.kill();
    const written = Object.fromEntries(
      await Promise.all(
        ['memory.max', 'pids.max', 'cgroup.kill'].map(async (name) => [
          name,
          await readFile(join(cgroup.path, name), 'utf8'),
        ]),
      ),
    );
    assert.deepEqual(written, { 'memory.max': '1234', 'pids.max': '56', 'cgroup.kill': '1' });
    assert.equal(await readFile(join(tree, 'cgroup.subtree_control'), 'utf8'), '+memory +pids');
  });

  it('is not made where the kernel has no such thing', async () => {
    assert.equal(AppCgroup.make(tree, { memoryBytes: 1, pids: 1 }), undefined);
    await writeFile(join(tree, 'cgroup.controllers'), 'cpu pids\n');
    assert.equal(AppCgroup.make(tree, { memoryBytes: 1, pids: 1 }), undefined);
  });

  it('says so when the kernel refuses', async () => {
    await writeFile(join(tree, 'cgroup.controllers'), 'memory pids\n');
    await writeFile(join(tree, 'app'), '');
    assert.throws(() => AppCgroup.make(tree, { memoryBytes: 1, pids: 1 }), failsWith('CGROUP'));
  });
});
