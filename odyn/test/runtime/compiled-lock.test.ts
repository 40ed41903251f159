import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ARCHES, type Arch } from '../../build/arch.ts';
import { C_PROGRAMS } from '../../build/compile-c.ts';
import { differingParts } from '../../build/compiled-lock.ts';
import { defaultsFor } from '../../build/runtime.ts';

interface Record {
  toolchain: string[];
  parts: { [path: string]: string };
}

const recordOf = async (arch: Arch): Promise<Record> =>
  JSON.parse(await readFile(new URL('../../compiled.lock.json', import.meta.url), 'utf8'))[arch];

for (const arch of ARCHES)
  describe(`record of compiled parts for ${arch}`, () => {
    it('names each part whose bytes are others, and a missing one', async () => {
      const data = Buffer.from('made by another compiler');
      assert.deepEqual(await differingParts(arch, [{ path: 'init', data }]), [
        'init',
        // Our kernel module is for x86_64 alone
        ...(arch === 'x86_64' ? ['modules/virtio_mmio_devices.ko'] : []),
        'odyn/launch',
        'odyn/node',
        'odyn/odyn.node',
        'odyn/redirect',
        'odyn/vsock.node',
      ]);
    });

    it('has every C program', async () => {
      const recorded = Object.keys((await recordOf(arch)).parts).map((path) => path.split('/').at(-1));
      for (const program of Object.keys(C_PROGRAMS)) assert.ok(recorded.includes(program), program);
    });

    it('is of the sources beside it', async function () {
      const { toolchain, parts } = await recordOf(arch);
      const made = JSON.parse(await readFile(join(defaultsFor(arch).output, 'runtime.json'), 'utf8'));
      // With other tools no bytes are promised; the build says so itself
      if (made.toolchain.join() !== toolchain.join()) this.skip();
      const bytes = new Map(made.parts.map(({ path, sha256 }: { path: string; sha256: string }) => [path, sha256]));
      assert.deepEqual(Object.fromEntries(Object.keys(parts).map((path) => [path, bytes.get(path)])), parts);
    });
  });
