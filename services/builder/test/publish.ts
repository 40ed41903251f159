import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ImageSpec, type IndexEntry, writeOciLayout } from '../../../test/images/image.ts';
import { REGISTRY_USER } from '../../../test/stack/docker-registry.ts';

/** Puts images under one name of a registry: one, or an index of several. */
export async function publishImages(host: string, name: string, images: readonly ImageSpec[]): Promise<void> {
  const entries = images.map((spec) => ({ image: spec }));
  const [only, other] = entries;
  if (only === undefined) throw new TypeError('no image');
  if (other === undefined) await publish(host, name, { ...only, name: 'it' });
  else await publishEntries(host, name, entries);
}

/** Puts an index under a name of a registry. */
export async function publishEntries(host: string, name: string, entries: readonly IndexEntry[]): Promise<void> {
  await publish(host, name, { index: entries, name: 'it' });
}

async function publish(host: string, name: string, entry: IndexEntry): Promise<void> {
  const layout = await mkdtemp(join(tmpdir(), 'published-'));
  try {
    await writeOciLayout(layout, [entry]);
    const login = `--dest-creds=${REGISTRY_USER.name}:${REGISTRY_USER.secret}`;
    const ends = [`oci:${layout}:it`, `docker://${host}/${name}`];
    const args = ['copy', '-q', '--all', '--dest-tls-verify=false', login, ...ends];
    const { status, stderr } = spawnSync('skopeo', args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  } finally {
    await rm(layout, { recursive: true, force: true });
  }
}
