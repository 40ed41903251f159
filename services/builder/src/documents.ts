import { attach, describeEnclave, writeBeside } from '@enclaver/provenance';
import type { Build, BuildOptions, BuildResult } from './build-options.ts';
import { BuilderError } from './builder-error.ts';
import { registryOf, writeAuthFile } from './registry/skopeo.ts';

type Wanted = Pick<BuildOptions, 'provenance' | 'sbom' | 'signKey' | 'push' | 'eifOnly'>;

const isWanted = ({ provenance, sbom, signKey }: Wanted): boolean =>
  provenance === true || sbom === true || signKey !== undefined;

/** Only a registry keeps what is attached to an image. Throws ATTACH_NEEDS_PUSH. */
export function checkDocuments(options: Wanted): void {
  if (!isWanted(options) || options.push === true || options.eifOnly !== undefined) return;
  throw new BuilderError('ATTACH_NEEDS_PUSH', 'provenance, SBOM and signature have nowhere to be: nothing is pushed', {
    remedy: 'add --push to attach them in the registry, or --eif-only to have them as files beside the EIF',
  });
}

/**
 * Computes from the EIF at `eif` what is to be said of it, signs it where a key is given, and attaches it to the pushed image or
 * writes it beside `eifOnly`. Returns the files, or the image and what it got; undefined where nothing is wanted. Throws
 * ProvenanceError.
 */
export async function writeDocuments(build: Build, eif: string, result: BuildResult): Promise<string[] | undefined> {
  const { options, work, progress } = build;
  if (!isWanted(options)) return undefined;
  progress({ stage: 'attach', text: 'computing what is said of the image' });
  const documents = await describeEnclave({
    eif,
    eifSha256: result.eif.sha256,
    ...(options.provenance === true ? { facts: factsOf(options, result) } : {}),
    ...(options.sbom === true ? { sbom: true } : {}),
  });
  const common = {
    documents,
    work: work.path,
    ...(options.signKey === undefined ? {} : { signKey: options.signKey }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  if (options.eifOnly !== undefined) return writeBeside({ eif: options.eifOnly, ...common });
  const image = result.image?.repoDigest ?? '';
  progress({ stage: 'attach', text: image });
  await attach({ image, authFile: await writeAuthFile(registryOf(image), work), ...common });
  const kinds = { measurements: true, provenance: options.provenance, SBOM: options.sbom };
  const names = Object.entries(kinds).flatMap(([name, there]) => (there === true ? [name] : []));
  return [`${names.join(', ')} of ${image}${options.signKey === undefined ? '' : ', signed'}`];
}

function factsOf({ manifest, from }: BuildOptions, { platform, sources, tools }: BuildResult) {
  const { app, base } = sources;
  return {
    manifest,
    platform,
    app: {
      name: from ?? app.name ?? app.id,
      id: app.id,
      ...(app.repoDigest === undefined ? {} : { repoDigest: app.repoDigest }),
    },
    ...(base === undefined ? {} : { base: { name: base.name ?? base.id, id: base.id } }),
    versions: { enclaver: tools.enclaver, kernel: tools.kernel, node: tools.node },
  };
}
