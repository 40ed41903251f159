import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type CpioEntry, cpio, S_IFDIR, S_IFREG } from '@enclaver/eif';
import { limits as supervisorLimits } from '../../../services/supervisor/src/limits.ts';
import { compileC } from '../../build/compile-c.ts';
import { buildRuntime, defaultsFor } from '../../build/runtime.ts';
import { Machine, type MachineOptions, NITRO_LIKE_DEVICE } from './machine.ts';

/** One boot takes about 6 s under emulation, more on a busy machine. */
const BOOT_PATIENCE_MS = 100_000;

interface Report {
  environment: Record<string, string>;
  hostname: string;
  processors: number;
  devices: string[];
  loopback: string[];
  loopbackCarries: boolean;
  modules: string[];
  mounts: string[][];
  rootShare: number;
  run: { mode: number; uid: number; gid: number; names: string[] };
  tmp: { mode: number; uid: number; gid: number; names: string[] };
  oomScore: string;
  userNamespaces: string;
  limits: string[];
  launched: { code: number; stdout: Record<string, unknown>; stderr: string };
  byName: { code: number; stdout: string; stderr: string };
  orphanIsBuried: boolean;
  termIsForwarded: boolean;
}

describe('init in a guest', function () {
  this.timeout(BOOT_PATIENCE_MS);
  let folder: string;
  let runtime: string;
  let probe: Buffer;
  let machine: Machine | undefined;
  let boots = 0;
  /** Boots beside all others: most of what it does is to wait. */
  let silent: Machine;
  let silentEnd: Promise<{ reason: string; afterMs: number }>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'init-test-'));
    runtime = join(folder, 'runtime');
    await buildRuntime({ ...defaultsFor('x86_64'), output: runtime, entry: join(import.meta.dirname, 'stand-in.ts') });
    await compileC(join(import.meta.dirname, '../init'), ['probe.c'], join(folder, 'probe'));
    probe = await readFile(join(folder, 'probe'));
    silent = await boot('report', [], { heartbeat: false });
    machine = undefined;
    silentEnd = silent
      .ended(2.5 * supervisorLimits.heartbeatMs)
      .then((reason) => ({ reason, afterMs: performance.now() - silent.startedMs }));
    // Told by the test that waits for it
    silentEnd.catch(() => undefined);
  });

  async function stopMachine(): Promise<void> {
    await machine?.stop();
    machine = undefined;
  }

  afterEach(stopMachine);

  after(async () => {
    // Once more, for a boot in a `before` that failed
    await stopMachine();
    await silent?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function boot(ending: string, more: CpioEntry[] = [], options: Partial<MachineOptions> = {}): Promise<Machine> {
    const directory = (path: string, rest: Partial<CpioEntry> = {}) => ({ path, mode: S_IFDIR | 0o755, ...rest });
    const app: CpioEntry[] = [
      { path: 'ending', mode: S_IFREG | 0o644, data: Buffer.from(ending) },
      directory('rootfs'),
      ...['bin', 'dev', 'proc', 'sys'].map((name) => directory(`rootfs/${name}`)),
      directory('rootfs/run', { mode: S_IFDIR | 0o770, uid: 5, gid: 6 }),
      directory('rootfs/tmp'),
      { path: 'rootfs/bin/probe', mode: S_IFREG | 0o755, data: probe },
      { path: 'rootfs/i-am-the-root', mode: S_IFREG | 0o644 },
      ...more,
    ];
    const pieces: Buffer[] = [await readFile(join(runtime, 'ramdisk0.cpio'))];
    for await (const piece of cpio(app)) {
      pieces.push(piece);
    }
    boots += 1;
    const ramdisk = join(folder, `ramdisk-${boots}`);
    await writeFile(ramdisk, Buffer.concat(pieces));
    machine = await Machine.start({
      kernel: join(runtime, 'kernel'),
      cmdline: await readFile(join(runtime, 'cmdline'), 'utf8'),
      ramdisk,
      ...options,
    });
    return machine;
  }

  async function statusOf(machine: Machine): Promise<string> {
    return text(await machine.connect(17000));
  }

  describe('prepares the machine, so that', () => {
    let report: Report;
    let heartbeats: number[];
    let ending: string;
    let console: string;

    before(async () => {
      const optional = Buffer.from(
        'virtio_mmio.ko\nvsock.ko\nvmw_vsock_virtio_transport_common.ko\nvmw_vsock_virtio_transport.ko\n?missing.ko\nnsm.ko\n',
      );
      const booted = await boot('report', [
        { path: 'modules/order', mode: S_IFREG | 0o644, data: optional },
        { path: 'rootfs/tmp/kept', mode: S_IFREG | 0o644, data: Buffer.from('of the image') },
      ]);
      ending = await booted.ended();
      heartbeats = booted.heartbeats;
      console = booted.console;
      const line = /REPORT (\{.*\})/.exec(booted.console)?.[1];
      assert.ok(line, booted.console);
      report = JSON.parse(line) as Report;
      assert.match(booted.console, /init: E_MODULE missing\.ko \(optional\): No such file or directory/);
    });

    it('the parent has heard one heartbeat', () => assert.deepEqual(heartbeats, [0xb7]));

    it('V8 takes the code cache of the bundle', () => assert.doesNotMatch(console, /code cache/));

    it('the machine is off when odyn has ended well', () => assert.equal(ending, 'guest-shutdown'));

    it('the modules of the list are loaded, an optional one may be missing', () => {
      assert.deepEqual(report.modules.toSorted(), [
        'nsm',
        ...['rng_core'].filter((name) => report.modules.includes(name)),
        'virtio_mmio',
        'vmw_vsock_virtio_transport',
        'vmw_vsock_virtio_transport_common',
        'vsock',
      ]);
    });

    it('lo is up and carries connections', () => {
      assert.deepEqual(report.loopback, ['127.0.0.1', '::1']);
      assert.equal(report.loopbackCarries, true);
    });

    it('odyn has its environment, times and no more', () => {
      const { PATH, ENCLAVER_INIT_STARTED_US, ENCLAVER_ODYN_EXEC_US, ...rest } = report.environment;
      assert.equal(PATH, '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin');
      assert.ok(Number(ENCLAVER_INIT_STARTED_US) > 0);
      assert.ok(Number(ENCLAVER_ODYN_EXEC_US) > Number(ENCLAVER_INIT_STARTED_US));
      assert.deepEqual(rest, { MALLOC_ARENA_MAX: '1' });
      assert.equal(report.hostname, 'enclave');
      assert.equal(report.oomScore, '-900');
      // Node raises the soft limit to the hard one
      assert.equal(report.limits[1], '1048576');
    });

    it('both roots have their system folders', () => {
      const at = new Map(report.mounts.map(([folder = '', type = '']) => [folder, type]));
      for (const root of ['', '/rootfs']) {
        assert.equal(at.get(`${root}/dev`), 'devtmpfs');
        assert.equal(at.get(`${root}/dev/pts`), 'devpts');
        assert.equal(at.get(`${root}/dev/shm`), 'tmpfs');
        assert.equal(at.get(`${root}/proc`), 'proc');
        assert.equal(at.get(`${root}/sys`), 'sysfs');
        assert.equal(at.get(`${root}/sys/fs/cgroup`), 'cgroup2');
        assert.equal(at.get(`${root}/run`), 'tmpfs');
      }
    });

    it('the root may fill half of the memory', () => assert.ok(Math.abs(report.rootShare - 0.5) < 0.02));

    it('image content of /tmp stays, and an empty /run keeps its owner and mode', () => {
      assert.deepEqual(report.tmp.names, ['kept']);
      assert.deepEqual(report.run, { mode: 0o770, uid: 5, gid: 6, names: [] });
    });

    it('launch starts the app with its user, work folder, environment and limits', () => {
      const { code, stdout, stderr } = report.launched;
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
      assert.deepEqual(stdout, {
        uids: [1234, 1234, 1234],
        gids: [2345, 2345, 2345],
        groups: [7, 9],
        cwd: '/data/here',
        leader: true,
        inRoot: true,
        umask: 0o022,
        open: [0, 1, 2],
        blocked: [],
        ignored: [],
        files: [65536, 1048576],
        greeting: 'hello',
        arguments: ['one', 'two'],
      });
    });

    it('an app that is not root can open its output by name', () => {
      assert.deepEqual(report.byName, { code: 0, stdout: 'to /dev/stdout\n', stderr: 'to /dev/stderr\n' });
    });

    it('nobody gets capabilities by a user namespace', () => assert.equal(report.userNamespaces, '0'));

    it('orphans are buried', () => assert.equal(report.orphanIsBuried, true));

    it('SIGTERM to init reaches odyn', () => assert.equal(report.termIsForwarded, true));
  });

  it('finds devices and processors of a machine that has no ACPI and names them on the command line, as Nitro does', async () => {
    const measured = await readFile(join(runtime, 'cmdline'), 'utf8');
    // In the memory, without an interrupt, and at an address that is no number
    const bad = ['4K@0x100000:6', '4K@0xd0000000', '4K@here:6'].map((device) => `virtio_mmio.device=${device}`);
    const cmdline = [measured, ...bad, NITRO_LIKE_DEVICE].join(' ');
    const booted = await boot('report', [], { withoutAcpi: true, cmdline });
    const [, json = ''] = await booted.sees(/REPORT (\{.*\})\r?\n/);
    const report = JSON.parse(json) as Report;
    assert.deepEqual(booted.heartbeats, [0xb7]);
    assert.deepEqual(report.devices, ['virtio-mmio.0']);
    assert.equal(report.processors, 2);
    assert.match(booted.console, /device=4K@0x100000:6 is left out: error -98/);
    assert.match(booted.console, /device=4K@0xd0000000 is left out: error -22/);
    assert.match(booted.console, /device=4K@here:6 is left out: error -22/);
    // A power-off would only halt the processors
    assert.equal(await booted.ended(), 'guest-reset');
  });

  it('says on the status port by what signal odyn was killed, whatever the app wrote into the log of the kernel, and ends', async () => {
    const booted = await boot('abort');
    const error = 'odyn crashed: killed by signal 6 (Aborted)';
    assert.deepEqual(JSON.parse(await statusOf(booted)), { status: 'fatal', error });
    assert.equal(await booted.ended(), 'guest-shutdown');
    assert.match(booted.console, /init: E_ODYN odyn crashed: killed by signal 6 \(Aborted\)/);
  });

  it('says on the status port with what code odyn failed, and ends', async () => {
    const booted = await boot('exit-3');
    assert.equal(await statusOf(booted), '{"status":"fatal","error":"odyn crashed: exit code 3"}\n');
    assert.equal(await booted.ended(), 'guest-shutdown');
  });

  it('says on the status port which module it could not load, and ends', async () => {
    const order = Buffer.from(
      'virtio_mmio.ko\nvsock.ko\nvmw_vsock_virtio_transport_common.ko\nvmw_vsock_virtio_transport.ko\nmissing.ko\n',
    );
    const booted = await boot('report', [{ path: 'modules/order', mode: S_IFREG | 0o644, data: order }]);
    const error = 'init: E_MODULE missing.ko: No such file or directory';
    assert.deepEqual(JSON.parse(await statusOf(booted)), { status: 'fatal', error });
    assert.equal(await booted.ended(), 'guest-shutdown');
    assert.doesNotMatch(booted.console, /stand-in/);
  });

  it('ends at once when the kernel panics', async () => {
    const booted = await boot('panic');
    await booted.sees(/stand-in: panic/);
    assert.equal(await booted.ended(), 'guest-reset');
    assert.match(booted.console, /Kernel panic/);
  });

  // The last of all, for the longest wait
  describe('ends', () => {
    it('when no parent answers its heartbeat, and later than the supervisor would have ended it', async function () {
      this.timeout(3 * supervisorLimits.heartbeatMs);
      const { reason, afterMs } = await silentEnd;
      assert.equal(reason, 'guest-shutdown');
      assert.ok(afterMs > supervisorLimits.heartbeatMs, `${afterMs} ms`);
      assert.match(silent.console, /init: E_HEARTBEAT no answer from the parent, CID 2 port 9000: /);
      assert.deepEqual(new Set(silent.heartbeats), new Set([0xb7]));
    });
  });
});
