import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Eif, readEif } from '@enclaver/eif';
import { unixTransport } from '@enclaver/vsock';
import { HEARTBEAT_BYTE, HEARTBEAT_PORT } from '@enclaver/wire';
import { pino } from 'pino';
import { writeSmallImage } from '../../../services/supervisor/test/small-image.ts';
import { qemuArguments } from '../src/command-line.ts';
import { enclaveFiles, writeBootFiles } from '../src/files.ts';
import { listenForHeartbeat } from '../src/heartbeat.ts';
import type { MicrovmRequest } from '../src/microvm-request.ts';
import { Microvms, neededMemoryMb } from '../src/microvms.ts';

/** Of a shell script; its arguments stay what it is known by. */
const FOREVER = 'while :; do sleep 0.1; done';

describe('microvms', () => {
  const path = process.env.PATH;
  let microvms: Microvms;
  let folder: string;
  let eif: Eif;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'enclaver-qemu-'));
    microvms = new Microvms({
      dieWithUs: false,
      nsm: { rootDir: join(folder, 'nsm'), logger: pino({ level: 'silent' }) },
    });
    await writeSmallImage(join(folder, 'hello.eif'));
    eif = await readEif(join(folder, 'hello.eif'));
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  afterEach(() => {
    process.env.PATH = path;
  });

  /** A program of this name that does what the shell script says, alone in the PATH but for the system's own tools. */
  async function fakeProgram(name: string, script: string): Promise<void> {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
    process.env.PATH = `${folder}:/bin`;
  }

  it('refuses memory into which the image does not unpack, and says how much it takes', async () => {
    const sections = [
      { type: 'ramdisk', offset: 0, size: 100 * 1024 * 1024 },
      { type: 'ramdisk', offset: 0, size: 50 * 1024 * 1024 },
    ] as const;
    assert.equal(neededMemoryMb({ sections }), 514);
    await assert.rejects(microvms.check({ ...eif, sections }, 513), { code: 'MEMORY_TOO_SMALL', message: /513.*514/ });
  });

  it('refuses an image for another processor', async () => {
    await assert.rejects(microvms.check({ ...eif, arch: 'aarch64' }, 512), { code: 'ARCH_UNSUPPORTED' });
  });

  it('says what is missing on the host, and what installs it', async () => {
    process.env.PATH = folder;
    await assert.rejects(microvms.check(eif, 512), { code: 'QEMU_MISSING', remedy: /scripts\/setup/ });
  });

  it('refuses a run folder whose sockets would have no valid address', () => {
    assert.throws(() => microvms.place(`/run/${'x'.repeat(90)}/e-000000000000`, []), { code: 'RUN_DIR_TOO_LONG' });
  });

  it('makes the initrd of whole pages: it would else reach into the page of the ACPI tables', async () => {
    const files = enclaveFiles(folder);
    await writeBootFiles(eif, files);
    const pieces: Buffer[] = [];
    for (const section of eif.sections) {
      if (section.type === 'ramdisk') for await (const piece of eif.data(section)) pieces.push(piece);
    }
    const [ramdisks, initrd] = [Buffer.concat(pieces), await readFile(files.initrd)];
    assert.notEqual(ramdisks.length % 4096, 0);
    assert.equal(initrd.length, Math.ceil(ramdisks.length / 4096) * 4096);
    assert.ok(initrd.subarray(0, ramdisks.length).equals(ramdisks));
    assert.ok(initrd.subarray(ramdisks.length).every((byte) => byte === 0));
  });

  it('appends what only a local machine needs, and gives the guest nothing that was not asked for', () => {
    const request = {
      folder,
      eif,
      cpuCount: 2,
      memoryMb: 512,
      debug: false,
      vsock: { type: 'unix', path: `${folder}/vsock` },
    } as const;
    const traits = { accelerator: 'tcg', tscKhz: 2_596_120, sandbox: true } as const;
    const args = qemuArguments(request, enclaveFiles(folder), traits);
    const argument = (option: string) => args[args.indexOf(option) + 1];
    assert.equal(
      argument('-append'),
      'quiet enclaver.parent_cid=2 enclaver.vsock=hybrid enclaver.nsm=vsock reboot=t tsc_early_khz=2596120',
    );
    assert.ok(args.includes('-nodefaults') && args.includes('-no-reboot') && args.includes('-sandbox'));
    const kernel = qemuArguments({ ...request, vsock: { type: 'vsock', cid: 17 } }, enclaveFiles(folder), {
      ...traits,
      accelerator: 'kvm',
    });
    assert.ok(kernel.includes('vhost-vsock-device,guest-cid=17'));
    assert.ok(!kernel.join(' ').includes('tsc_early_khz') && kernel.includes('host'));
    assert.ok(!kernel.join(' ').includes('hybrid'), 'the kernel vsock of the host carries half-close');
  });

  it('passes on what a program said that did not start', async () => {
    await fakeProgram('vhost-device-vsock', 'echo no such group >&2; exit 1');
    await fakeProgram('qemu-system-x86_64', 'exit 0');
    const vsock = { type: 'unix', path: join(folder, 'vsock') } as const;
    await assert.rejects(microvms.launch({ folder, eif, cpuCount: 1, memoryMb: 512, vsock, debug: false }), {
      code: 'MACHINE_FAILED',
      message: /vhost-device-vsock did not start: no such group/,
    });
  });

  it('gives the heartbeat back, and takes nothing else for one', async () => {
    const path = join(folder, 'beating');
    const heartbeat = await listenForHeartbeat(unixTransport({ path }));
    const send = (byte: number) => connect(`${path}_${HEARTBEAT_PORT}`).end(Buffer.from([byte]));
    await once(send(HEARTBEAT_BYTE + 1).resume(), 'close');
    const [answer] = await once(send(HEARTBEAT_BYTE), 'data');
    assert.deepEqual(answer, Buffer.from([HEARTBEAT_BYTE]));
    await heartbeat.arrived;
    await heartbeat.close();
  });

  it('takes up no process but its own', async () => {
    const running = { id: 'e', folder, vsock: { type: 'unix', path: folder }, debug: false } as const;
    const { measurements } = eif;
    assert.equal(await microvms.adopt({ ...running, measurements }), undefined);
    await writeFile(enclaveFiles(folder).machine, JSON.stringify({ qemu: process.pid }));
    assert.equal(await microvms.adopt({ ...running, measurements }), undefined);
  });

  describe('of another process that was killed', () => {
    const isThere = (file: string): Promise<boolean> =>
      access(file).then(
        () => true,
        () => false,
      );
    const pidOf = async (program: string) => Number(await readFile(join(folder, `${program}.pid`), 'utf8'));

    /** Resolves when whoever comes next can know of QEMU, and with false when the start is over before. */
    async function known(launching: Promise<unknown>): Promise<boolean> {
      const { machine } = enclaveFiles(folder);
      let over = false;
      const end = (): void => {
        over = true;
      };
      launching.then(end, end);
      while (!over && (!(await isThere(machine)) || !(await readFile(machine, 'utf8')).includes('qemu')))
        await sleep(10);
      return !over;
    }

    /** Programs that run until they are killed; `qemu` does what it says beside that. */
    async function fakeMachine(qemu: string): Promise<MicrovmRequest> {
      await rm(enclaveFiles(folder).machine, { force: true });
      const vhost = enclaveFiles(folder).vhost;
      await fakeProgram('vhost-device-vsock', `echo $$ >${folder}/vhost.pid; : >${vhost}; ${FOREVER}`);
      const start = `echo $$ >${folder}/qemu.pid; ${qemu}`;
      await fakeProgram('qemu-system-x86_64', `[ "$1" = -help ] && echo '-sandbox on' && exit; ${start}`);
      const vsock = { type: 'unix', path: join(folder, 'vsock') } as const;
      return { folder, eif, cpuCount: 1, memoryMb: 512, vsock, debug: false };
    }

    it('are taken up from the start of QEMU on', async () => {
      const { qmp } = enclaveFiles(folder);
      const listen = `require('net').createServer((socket) => socket.resume()).listen('${qmp}')`;
      const request = await fakeMachine(
        `while [ ! -e ${folder}/go ]; do sleep 0.05; done; exec ${process.execPath} -e "${listen}" -- "$@"`,
      );
      const launching = microvms.launch(request);
      assert.ok(await known(launching));
      await writeFile(join(folder, 'go'), '');
      const adopted = await microvms.adopt({ id: 'e', ...request, measurements: eif.measurements });
      assert.equal(adopted?.pid, await pidOf('qemu'));
      await adopted?.kill();
      await (await launching).gone;
    });

    it('leave nothing where there is no machine to be taken up', async () => {
      const request = await fakeMachine(FOREVER);
      const launching = microvms.launch(request);
      assert.ok(await known(launching));
      assert.equal(await microvms.adopt({ id: 'e', ...request, measurements: eif.measurements }), undefined);
      await assert.rejects(launching, { code: 'MACHINE_FAILED' });
      for (const program of ['qemu', 'vhost']) assert.ok(!(await isThere(`/proc/${await pidOf(program)}`)), program);
    });
  });
});
