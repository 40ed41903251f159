import { createHash, type Hash } from 'node:crypto';
import { type Eif, type EifSection, ramdiskFiles, S_IFMT, S_IFREG, showName } from '@enclaver/eif';
import { BUILD_TYPE, BUILDER_ID } from './uris.ts';

/** An image that went into a build. */
export interface ImageSource {
  /** As the manifest or the command names it. */
  name: string;
  /** `sha256:…` of its configuration. */
  id: string;
  /** `repository@sha256:…`, where it is known. */
  repoDigest?: string;
}

/** What went into a build and what made it. All of it follows from the inputs: no times, no names of machines. */
export interface BuildFacts {
  /** The manifest's text. */
  manifest: string;
  platform: string;
  app: ImageSource;
  /** What the release image stands on. */
  base?: ImageSource;
  /** By name, such as `{ enclaver: '0.1.0', node: '24.21.0' }`. */
  versions: Readonly<Record<string, string>>;
}

/** A thing by its digest (in-toto/attestation, `spec/v1/resource_descriptor.md`). */
interface ResourceDescriptor {
  name: string;
  uri?: string;
  digest: Record<string, string>;
}

/**
 * The predicate of SLSA provenance 1.0. The parts of Enclaver that are inside - kernel, command line and every file of ramdisk
 * 0 - are taken from the EIF's own bytes. Throws EifError.
 */
export async function slsaPredicate(eif: Eif, facts: BuildFacts): Promise<object> {
  const { manifest, platform, app, base, versions } = facts;
  return {
    buildDefinition: {
      buildType: BUILD_TYPE,
      externalParameters: { manifest, manifestSha256: sha256(manifest), source: app.name, platform },
      internalParameters: {},
      resolvedDependencies: [
        ...imageDescriptors('app', app),
        ...(base === undefined ? [] : imageDescriptors('base', base)),
        ...(await runtimeDescriptors(eif)),
      ],
    },
    runDetails: { builder: { id: BUILDER_ID, version: { ...versions } } },
  };
}

/** The configuration's digest is known of every image and names its layers; the manifest's only of one from a registry. */
function imageDescriptors(name: string, { id, repoDigest }: ImageSource): ResourceDescriptor[] {
  const [repository, digest] = repoDigest?.split('@sha256:') ?? [];
  const configuration = { name: `${name} image configuration`, digest: { sha256: id.replace('sha256:', '') } };
  if (repository === undefined || digest === undefined) return [configuration];
  return [{ name: `${name} image`, uri: `docker://${repoDigest}`, digest: { sha256: digest } }, configuration];
}

async function runtimeDescriptors(eif: Eif): Promise<ResourceDescriptor[]> {
  const found: ResourceDescriptor[] = [];
  for (const type of ['kernel', 'cmdline'] as const) {
    const section = eif.sections.find((each) => each.type === type);
    if (section !== undefined) found.push({ name: `runtime ${type}`, digest: await digestOf(eif.data(section)) });
  }
  const ramdisk: EifSection | undefined = eif.sections.find(({ type }) => type === 'ramdisk');
  if (ramdisk === undefined) return found;
  for await (const file of ramdiskFiles(eif, ramdisk)) {
    if ((file.mode & S_IFMT) !== S_IFREG || file.hardLinkOf !== undefined) continue;
    found.push({ name: `runtime ${showName(file.path)}`, digest: await digestOf(file.data) });
  }
  return found;
}

async function digestOf(bytes: AsyncIterable<Uint8Array>): Promise<{ sha256: string }> {
  const hash: Hash = createHash('sha256');
  for await (const piece of bytes) hash.update(piece);
  return { sha256: hash.digest('hex') };
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
