import { parseImageReference } from '@enclaver/manifest';
import * as z from 'zod';
import { BuilderError } from '../builder-error.ts';
import { decodeJson, digestSchema } from '../image/image-config.ts';
import { repositoryOf } from '../image/names.ts';
import { type Descriptor, decodeManifest, INDEX_TYPES, indexSchema } from '../image/oci-manifest.ts';
import { checkDigest } from '../image/open-image.ts';
import { choosePlatform, type Platform, wrongPlatform } from '../platform.ts';
import { registryOf, type SkopeoOptions, skopeo, tlsFlag } from './skopeo.ts';

/** An image of a registry, before anything but its manifest is fetched. */
export interface ResolvedImage {
  /** `repository@sha256:…` of the manifest itself, not of an index. */
  pinned: string;
  manifest: Buffer;
  /** Of configuration and layers as they are stored. */
  bytes: number;
}

/**
 * Finds the manifest of a reference: of an image for several platforms that for the one asked for, or for this machine. A
 * manifest that names other places for its layers is refused: whoever follows them asks any address that an image names.
 * Throws IMAGE_NOT_FOUND, IMAGE_ARCH, IMAGE_INVALID, IMAGE_DIGEST_MISMATCH, PULL_FAILED.
 */
export async function resolveImage(
  reference: string,
  platform: Platform | undefined,
  options: SkopeoOptions,
): Promise<ResolvedImage> {
  const repository = repositoryOf(reference);
  const { digest: expected } = parseImageReference(reference);
  if (expected !== undefined && !digestSchema.safeParse(expected).success) {
    throw new BuilderError('IMAGE_INVALID', `${reference} names a digest that is not of SHA-256`, {
      remedy: 'name the image by its sha256 digest',
    });
  }
  // skopeo takes no tag beside a digest; which image it is, the digest alone says
  let manifest = await rawManifest(expected === undefined ? reference : `${repository}@${expected}`, options);
  let digest = checkDigest(manifest, expected, reference);
  if (isIndex(manifest, reference)) {
    const chosen = choose(manifest, platform, reference);
    manifest = await rawManifest(`${repository}@${chosen.digest}`, options);
    digest = checkDigest(manifest, chosen.digest, reference);
  }
  const { config, layers } = decodeManifest(manifest, reference);
  if ([config, ...layers].some(({ urls }) => (urls?.length ?? 0) > 0)) {
    throw new BuilderError('IMAGE_INVALID', `${reference} names other addresses for its parts than its registry`, {
      remedy: 'push the image with all of its layers (docker push does)',
    });
  }
  const bytes = layers.reduce((sum, { size }) => sum + size, config.size);
  return { pinned: `${repository}@${digest}`, manifest, bytes };
}

/** Manifest or index: OCI ones may leave their type out. */
const kindSchema = z.object({ mediaType: z.string().optional(), manifests: z.array(z.unknown()).optional() });

async function rawManifest(reference: string, options: SkopeoOptions): Promise<Buffer> {
  const host = registryOf(reference);
  const args = ['--raw', tlsFlag('', host), `docker://${reference}`];
  const { output, problem } = await skopeo('inspect', host, args, options);
  if (problem !== undefined) throw fetchError(reference, problem);
  return output;
}

function isIndex(bytes: Buffer, reference: string): boolean {
  const { mediaType, manifests } = decodeJson(bytes, kindSchema, `the manifest of ${reference}`);
  return mediaType === undefined ? manifests !== undefined : INDEX_TYPES.includes(mediaType);
}

function choose(index: Buffer, platform: Platform | undefined, reference: string): Descriptor {
  const { manifests } = decodeJson(index, indexSchema, `the index of ${reference}`);
  const wanted = choosePlatform(manifests.map(nameOf), platform);
  const found = manifests.find((each) => nameOf(each) === wanted);
  if (found !== undefined) return found;
  const names = manifests.map(nameOf).filter((name) => name !== undefined && name !== 'unknown/unknown');
  throw wrongPlatform(reference, names.join(', ') || 'no named platform', platform);
}

const nameOf = ({ platform }: Descriptor): string | undefined =>
  platform == null ? undefined : `${platform.os}/${platform.architecture}`;

export function fetchError(reference: string, problem: string): BuilderError {
  if (/manifest unknown|name unknown|repository .* not found|not found: manifest/i.test(problem)) {
    return new BuilderError('IMAGE_NOT_FOUND', `neither an engine here nor the registry has ${reference}: ${problem}`, {
      remedy: 'check the name and the tag',
    });
  }
  const refused = /unauthorized|denied|authentication required|401|403/i.test(problem);
  return new BuilderError('PULL_FAILED', `could not fetch ${reference}: ${problem}`, {
    remedy: refused
      ? 'log in with `docker login`, as the user that the builder runs as'
      : 'check the name and the network',
  });
}
