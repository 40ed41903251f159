import { link, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BuilderError } from '../builder-error.ts';
import { repositoryOf } from '../image/names.ts';
import { MANIFEST_TYPE, type ReleaseImage } from '../release/release-image.ts';
import { registryOf, type SkopeoOptions, skopeo, tlsFlag } from './skopeo.ts';

/** Pushes an image as it is, byte for byte; returns `repository@sha256:…`. Throws PUSH_FAILED, and the errors of `skopeo`. */
export async function pushRelease(image: ReleaseImage, target: string, options: SkopeoOptions): Promise<string> {
  const folder = await writeLayout(image, options);
  const host = registryOf(target);
  const { problem } = await skopeo(
    'copy',
    host,
    ['--preserve-digests', tlsFlag('dest-', host), `oci:${folder}`, `docker://${target}`],
    options,
  );
  if (problem !== undefined) {
    throw new BuilderError('PUSH_FAILED', `could not push ${target}: ${problem}`, {
      remedy: 'log in with `docker login` as the user that the builder runs as; check the name and your rights there',
    });
  }
  return `${repositoryOf(target)}@${image.digest}`;
}

/** The image in OCI layout (OCI image specification, `image-layout.md`), which is what skopeo reads. */
async function writeLayout(
  { config, manifest, digest, id, layers }: ReleaseImage,
  { work }: SkopeoOptions,
): Promise<string> {
  const folder = await work.newFolder('layout');
  const blobs = join(folder, 'blobs/sha256');
  await mkdir(blobs, { recursive: true });
  const place = (of: string): string => join(blobs, of.replace('sha256:', ''));
  // A base may have one layer twice, and a blob is there once
  for (const layer of new Map(layers.map((each) => [each.digest, each])).values()) {
    if (layer.path === undefined) {
      await work.charge(layer.size);
      await writeFile(place(layer.digest), layer.read());
    } else await link(layer.path, place(layer.digest));
  }
  await writeFile(place(id), config);
  await writeFile(place(digest), manifest);
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  const descriptor = { mediaType: MANIFEST_TYPE, digest, size: manifest.length };
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }));
  return folder;
}
