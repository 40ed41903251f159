import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import type { BuilderErrorCode } from '../../src/builder-error.ts';
import { type Bench, manifest, refusal } from '../support.ts';

/** A build that fails so, and leaves no file of its own and none open. */
export async function refuses(bench: Bench, code: BuilderErrorCode, text: RegExp, app = 'oci:./image'): Promise<void> {
  const files = (await readdir('/proc/self/fd')).length;
  await assert.rejects(bench.build({ manifest: manifest(app) }), refusal(code, text));
  assert.deepEqual(
    (await bench.leavings()).filter((name) => !name.endsWith('.tar')),
    [],
  );
  assert.equal((await readdir('/proc/self/fd')).length, files);
}
