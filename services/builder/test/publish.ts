import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ImageSpec, writeOciLayout } from '../../../test/images/image.ts';
import { REGISTRY_USER } from '../../../test/stack/docker-registry.ts';

/** Puts images under one name of a registry: one, or an index of several. */
export async function publishImages(host: string, name: string, images: readonly ImageSpec[]): Promise<void> {
  const layout = await mkdtemp(join(tmpdir(), 'published-'));
  try {
    const entries = images.map((spec) => ({ image: spec }));
    const [only, other] = entries;
    if (only === undefined) throw new TypeError('no image');
    const whole = other === undefined ? { ...only, name: 'it' } : { index: entries, name: 'it' };
    await writeOciLayout(layout, [whole]);
    const login = `--dest-creds=${REGISTRY_USER.name}:${REGISTRY_USER.secret}`;
    const ends = [`oci:${layout}:it`, `docker://${host}/${name}`];
    const args = ['copy', '-q', '--all', '--dest-tls-verify=false', login, ...ends];
    const { status, stderr } = spawnSync('skopeo', args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  } finally {
    await rm(layout, { recursive: true, force: true });
  }
}
