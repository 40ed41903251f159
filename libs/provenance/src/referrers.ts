import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { decodeJson } from './json.ts';
import { limits } from './limits.ts';
import { ProvenanceError } from './provenance-error.ts';
import type { PushedImage } from './statement.ts';
import { runTool, type ToolResult } from './tool.ts';

/** Something that refers to an image. */
export interface Artifact {
  mediaType: string;
  /** What the bytes say, for people who list them. */
  predicateType: string;
  bytes: Buffer;
}

export interface ReferrerOptions {
  /** An existing folder for work files. */
  work: string;
  /** A file of the docker client's form; default: where skopeo looks. */
  authFile?: string;
  signal?: AbortSignal;
}

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const REF_NAME = 'org.opencontainers.image.ref.name';

const indexSchema = z.object({
  mediaType: z.literal(INDEX_TYPE).optional(),
  manifests: z.array(z.looseObject({ digest: z.string() })),
});

/**
 * Pushes artifacts that refer to an image, as OCI's image and distribution specifications 1.1 have it: manifests with a
 * `subject`, and the index at the tag `sha256-HEX` for registries that do not list referrers themselves. What others have in
 * that index stays. Throws SKOPEO_MISSING, ATTACH_FAILED.
 */
export async function attachReferrers(
  image: PushedImage,
  artifacts: readonly Artifact[],
  options: ReferrerOptions,
): Promise<void> {
  const { repository, sha256 } = image;
  const layout = await Layout.create(options.work);
  const raw = await skopeo(
    ['inspect', '--raw', tlsFlag('', repository), `docker://${repository}@sha256:${sha256}`],
    options,
  );
  if (raw.code !== 0) throw failed(`the image cannot be read: ${lastLine(raw)}`);
  const { mediaType = MANIFEST_TYPE } = decodeJson(
    raw.stdout,
    z.looseObject({ mediaType: z.string().optional() }),
    'ATTACH_FAILED',
    'the manifest of the image',
  );
  const subject = { mediaType, digest: `sha256:${sha256}`, size: raw.stdout.length };
  const added: object[] = [];
  for (const artifact of artifacts) {
    const descriptor = await layout.addArtifact(artifact, subject);
    await layout.select(descriptor);
    await push(layout, ['--preserve-digests'], `${repository}@${descriptor.digest}`, options);
    // No artifactType: skopeo below 1.13 does not know it here, and would drop it
    added.push({ ...descriptor, annotations: { predicateType: artifact.predicateType } });
  }
  const tag = `${repository}:sha256-${sha256}`;
  const digests = new Set(added.map((each) => (each as Descriptor).digest));
  const others = (await existingIndex(tag, options)).filter(({ digest }) => !digests.has(digest));
  const index = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [...others, ...added] };
  await layout.select(await layout.addBlob(INDEX_TYPE, Buffer.from(JSON.stringify(index))));
  await push(layout, ['--preserve-digests', '--multi-arch=index-only'], tag, options);
}

async function existingIndex(tag: string, options: ReferrerOptions): Promise<{ digest: string }[]> {
  const found = await skopeo(['inspect', '--raw', tlsFlag('', tag), `docker://${tag}`], options);
  if (found.code === 0) return decodeJson(found.stdout, indexSchema, 'ATTACH_FAILED', `the index at ${tag}`).manifests;
  if (/manifest unknown|not found/i.test(found.words)) return [];
  throw failed(`the index at ${tag} cannot be read: ${lastLine(found)}`);
}

async function push(layout: Layout, flags: string[], to: string, options: ReferrerOptions): Promise<void> {
  const result = await skopeo(
    ['copy', ...flags, tlsFlag('dest-', to), `oci:${layout.folder}:item`, `docker://${to}`],
    options,
  );
  if (result.code !== 0) throw failed(`${to} cannot be pushed: ${lastLine(result)}`);
}

/** A folder in OCI layout (image specification, `image-layout.md`), which skopeo reads. */
class Layout {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(work: string): Promise<Layout> {
    const folder = await mkdtemp(join(work, 'referrers-'));
    await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
    await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    return new Layout(folder);
  }

  async addArtifact({ mediaType, predicateType, bytes }: Artifact, subject: Descriptor): Promise<Descriptor> {
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      artifactType: mediaType,
      config: await this.addBlob('application/vnd.oci.empty.v1+json', Buffer.from('{}')),
      layers: [await this.addBlob(mediaType, bytes)],
      subject,
      annotations: { predicateType },
    };
    return await this.addBlob(MANIFEST_TYPE, Buffer.from(JSON.stringify(manifest)));
  }

  async addBlob(mediaType: string, bytes: Buffer): Promise<Descriptor> {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(this.folder, 'blobs/sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  }

  /** Makes one of the blobs the layout's `item`. */
  async select(descriptor: Descriptor): Promise<void> {
    const manifests = [{ ...descriptor, annotations: { [REF_NAME]: 'item' } }];
    await writeFile(join(this.folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  }
}

async function skopeo(args: readonly string[], { authFile, signal }: ReferrerOptions): Promise<ToolResult> {
  const [command = '', ...rest] = args;
  const auth = authFile === undefined ? [] : ['--authfile', authFile];
  return await runTool('skopeo', [command, ...auth, ...rest], {
    missing: 'SKOPEO_MISSING',
    maxBytes: limits.indexBytes,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** As docker does: plain HTTP and unknown certificates only on this machine itself. */
function tlsFlag(prefix: '' | 'dest-', reference: string): string {
  const local = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?\//.test(reference);
  return `--${prefix}tls-verify=${local ? 'false' : 'true'}`;
}

function lastLine({ words }: ToolResult): string {
  return words.trim().split('\n').at(-1) || 'skopeo failed without a word';
}

function failed(message: string): ProvenanceError {
  return new ProvenanceError('ATTACH_FAILED', message, {
    remedy: 'check the name, the network and your rights; or sign with --sign, which needs no referrers',
  });
}
