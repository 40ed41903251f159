import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import type { BuilderErrorCode } from '../../src/builder-error.ts';
import { type Bench, manifest, refusal } from '../support.ts';

/** A build that fails so, and leaves no file of its own and none open. */
export async function refuses(bench: Bench, code: BuilderErrorCode, text: RegExp, app = 'oci:./image'): Promise<void> {
  const before = new Set(openFiles());
  await assert.rejects(bench.build({ manifest: manifest(app) }), refusal(code, text));
  assert.deepEqual(
    (await bench.leavings()).filter((name) => !name.endsWith('.tar')),
    [],
  );
  // What other tests had open may have been closed meanwhile
  assert.deepEqual(
    openFiles().filter((file) => !before.has(file)),
    [],
  );
}

/** Descriptors of this process, with what they are of. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return `${descriptor} ${readlinkSync(`/proc/self/fd/${descriptor}`)}`;
    } catch {
      // The one by which the folder was read
      return [];
    }
  });
}
