import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { ARCHES } from '../../build/arch.ts';
import { C_PROGRAMS } from '../../build/compile-c.ts';
import { differingParts } from '../../build/compiled-lock.ts';

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
      const lock = JSON.parse(await readFile(new URL('../../compiled.lock.json', import.meta.url), 'utf8'));
      const recorded = Object.keys(lock[arch].parts).map((path) => path.split('/').at(-1));
      for (const program of Object.keys(C_PROGRAMS)) assert.ok(recorded.includes(program), program);
    });
  });
