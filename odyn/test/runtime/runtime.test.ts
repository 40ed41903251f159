import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readCpio } from '@enclaver/eif';
import { ARCHES, type Arch } from '../../build/arch.ts';
import { BuildError } from '../../build/build-error.ts';
import { CHECKOUT, readPinned, sha256Of } from '../../build/pinned.ts';
import { buildRuntime, defaultsFor } from '../../build/runtime.ts';

const run = promisify(execFile);

const ENTRY = 'odyn/test/guest/stand-in.ts';
/** Two full builds, each of them a few seconds on an idle machine. */
const PATIENCE_MS = 120_000;

const ELF = Buffer.from('\x7fELF', 'latin1');
/** Offset of e_machine, and its values of EM_X86_64 and EM_AARCH64. */
const ELF_MACHINE_AT = 18;
const ELF_MACHINE = { x86_64: 62, aarch64: 183 };
/** What Node's own program header names. */
const INTERPRETER = { x86_64: 'lib64/ld-linux-x86-64.so.2', aarch64: 'lib/ld-linux-aarch64.so.1' };

interface Description {
  arch: string;
  kernelVersion: string;
  nodeVersion: string;
  toolchain: string[];
  parts: { path: string; size: number; sha256: string; mode: number }[];
}

describe('the runtime bundle', function () {
  this.timeout(PATIENCE_MS);
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runtime-test-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const built = (output: string, arch: Arch = 'x86_64') =>
    buildRuntime({ ...defaultsFor(arch), output, entry: join(CHECKOUT, ENTRY) });

  /** The checkout in another place, its workspaces linked among themselves, and everything else from here. */
  async function copyCheckout(to: string): Promise<void> {
    await mkdir(join(to, 'node_modules/@enclaver'), { recursive: true });
    for (const name of [
      'odyn',
      'libs',
      'scripts',
      'dist/native',
      'package.json',
      'package-lock.json',
      'enclaver.lock.json',
    ]) {
      await cp(join(CHECKOUT, name), join(to, name), {
        recursive: true,
        filter: (path) => !path.endsWith('node_modules'),
      });
    }
    for (const name of await readdir(join(CHECKOUT, 'node_modules'))) {
      if (name !== '@enclaver') {
        await symlink(join(CHECKOUT, 'node_modules', name), join(to, 'node_modules', name));
      }
    }
    for (const name of await readdir(join(to, 'libs'))) {
      await symlink(join(to, 'libs', name), join(to, 'node_modules/@enclaver', name));
    }
  }

  it('has the same bytes from another folder, umask, time zone and locale', async () => {
    const copy = join(folder, 'a much longer folder name', 'with ümläut');
    await copyCheckout(copy);
    const program = `
      process.umask(0o077);
      const { ARCHES } = await import(process.argv[1] + '/odyn/build/arch.ts');
      const { buildRuntime, defaultsFor } = await import(process.argv[1] + '/odyn/build/runtime.ts');
      const entry = process.argv[1] + '/${ENTRY}';
      for (const arch of ARCHES) {
        await buildRuntime({ ...defaultsFor(arch), output: process.argv[2] + '/' + arch, entry });
      }`;
    await run(process.execPath, ['--input-type=module', '-e', program, copy, join(folder, 'there')], {
      cwd: folder,
      env: { ...process.env, TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' },
    });
    for (const arch of ARCHES) {
      const [here, there] = [join(folder, 'here', arch), join(folder, 'there', arch)];
      await built(here, arch);
      for (const name of ['runtime.json', 'kernel', 'cmdline', 'ramdisk0.cpio']) {
        const [one, other] = [await readFile(join(here, name)), await readFile(join(there, name))];
        // The description first, and as text: it names the part that differs
        if (name === 'runtime.json') {
          assert.equal(other.toString(), one.toString());
        }
        assert.equal(sha256Of(other), sha256Of(one), `${arch} ${name}`);
        assert.equal((await stat(join(there, name))).mode & 0o777, 0o644);
      }
    }
  });

  for (const arch of ARCHES) {
    it(`holds what its description says, owned by root, folders first, all of it for ${arch}`, async () => {
      const output = join(folder, 'runtime');
      await built(output, arch);
      const description = JSON.parse(await readFile(join(output, 'runtime.json'), 'utf8')) as Description;
      const archive = await readFile(join(output, 'ramdisk0.cpio'));
      assert.equal(archive.length % 512, 0);
      const files: Description['parts'] = [];
      const seen = new Set<string>();
      const machines = new Map<string, number>();
      for await (const entry of readCpio([archive])) {
        const path = entry.path.toString();
        const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : undefined;
        assert.ok(parent === undefined || seen.has(parent), path);
        seen.add(path);
        assert.deepEqual([entry.uid, entry.gid], [0, 0]);
        const pieces: Buffer[] = [];
        for await (const piece of entry.data) {
          pieces.push(piece);
        }
        if ((entry.mode & 0o170000) === 0o100000) {
          const data = Buffer.concat(pieces);
          files.push({ path, size: data.length, sha256: sha256Of(data), mode: entry.mode & 0o7777 });
          if (data.subarray(0, 4).equals(ELF)) machines.set(path, data.readUInt16LE(ELF_MACHINE_AT));
        }
      }
      assert.deepEqual(files, description.parts);
      for (const path of ['dev', 'proc', 'run', 'sys', 'tmp', 'odyn/odyn.js', 'odyn/program/main.js']) {
        assert.ok(seen.has(path), path);
      }
      for (const path of ['init', 'odyn/launch', 'odyn/node', 'odyn/vsock.node', 'modules/nsm.ko', INTERPRETER[arch]]) {
        assert.ok(machines.has(path), path);
      }
      assert.deepEqual(new Set(machines.values()), new Set([ELF_MACHINE[arch]]));
      assert.equal(description.arch, arch);
      assert.equal(description.nodeVersion, '24.21.0');
      assert.match(description.kernelVersion, arch === 'aarch64' ? /-arm64$/ : /-amd64$/);
      assert.match(description.toolchain[0] ?? '', /gcc/);
    });
  }

  it('holds no shell, no debugger and nothing else that odyn does not need', async () => {
    const needed = [
      /^init$/,
      /^odyn\/(?:launch|redirect|node|odyn\.js|program\/[\w-]+\.js(?:\.cache)?|\w+\.node)$/,
      /^modules\/(?:order|[\w-]+\.ko)$/,
      /^lib(?:64)?\/(?:[\w-]+-linux-gnu\/)?[\w+.-]+\.so(?:\.\d+)*$/,
    ];
    for (const arch of ARCHES) {
      const { output } = defaultsFor(arch);
      const { parts } = JSON.parse(await readFile(join(output, 'runtime.json'), 'utf8')) as Description;
      const others = parts.filter(({ path }) => !needed.some((pattern) => pattern.test(path)));
      assert.deepEqual(others, [], arch);
    }
  });

  it('is made once for the same inputs, and anew when a file of it is damaged', async () => {
    const output = join(folder, 'runtime');
    const first = await built(output);
    assert.equal(first.built, true);
    assert.deepEqual(await built(output), { ...first, built: false });
    await writeFile(join(output, 'ramdisk0.cpio'), 'damaged');
    assert.deepEqual(await built(output), first);
    assert.deepEqual(await readdir(folder), ['runtime']);
  });

  it('keeps the old bundle when the new one cannot be made', async () => {
    const output = join(folder, 'runtime');
    await built(output);
    const before = await readFile(join(output, 'runtime.json'));
    const broken = join(folder, 'broken.ts');
    await writeFile(broken, "import './missing.ts';\n");
    await assert.rejects(
      buildRuntime({ ...defaultsFor('x86_64'), output, entry: broken }),
      (error) => error instanceof BuildError && error.code === 'BUNDLE_FAILED' && /missing\.ts/.test(error.message),
    );
    assert.deepEqual(await readFile(join(output, 'runtime.json')), before);
    assert.deepEqual((await readdir(folder)).sort(), ['broken.ts', 'runtime']);
  });

  it('refuses an addon that is missing or needs symbols its libraries do not have', async () => {
    const options = { ...defaultsFor('x86_64'), output: join(folder, 'runtime'), entry: join(CHECKOUT, ENTRY) };
    const addon = join(folder, 'addon.node');
    await assert.rejects(
      buildRuntime({ ...options, addons: { ...options.addons, 'odyn/odyn.node': addon } }),
      (error) => error instanceof BuildError && error.code === 'INPUT_MISSING' && error.remedy === 'npm run build',
    );
    await writeFile(addon, 'xx\0GLIBC_2.17\0GLIBC_9.99\0');
    await assert.rejects(
      buildRuntime({ ...options, addons: { ...options.addons, 'odyn/odyn.node': addon } }),
      (error) =>
        error instanceof BuildError && error.code === 'ADDON_TOO_NEW' && /needs GLIBC_9\.99,/.test(error.message),
    );
  });

  it('refuses a pinned file with other bytes', async () => {
    const path = join(folder, 'vsock.ko');
    await writeFile(path, 'not a module');
    await assert.rejects(
      readPinned({ path, sha256: '0'.repeat(64) }),
      (error) => error instanceof BuildError && error.code === 'INPUT_CHANGED' && /measurements/.test(error.message),
    );
  });
});
