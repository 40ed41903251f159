import { attachEnvelope, signImage, signStatement } from './cosign.ts';
import { type EnclaveDocuments, statementsOf } from './documents.ts';
import { attachReferrers } from './referrers.ts';
import { imageSubject, pushedImage, STATEMENT_MEDIA_TYPE } from './statement.ts';

export interface AttachOptions {
  /** The release image in its registry, `repository@sha256:…`. */
  image: string;
  documents: EnclaveDocuments;
  /** Path of a cosign key, or a KMS key as cosign names it. Without one nothing is signed. */
  signKey?: string;
  /** An existing folder for work files. */
  work: string;
  /** For skopeo: a file of the docker client's form with the registry's credentials. cosign reads DOCKER_CONFIG. */
  authFile?: string;
  signal?: AbortSignal;
}

const SBOM_MEDIA_TYPE = 'application/vnd.cyclonedx+json';

/**
 * Attaches documents to an image. With a key: as attestations that cosign signs, and the image is signed last, so that a
 * signed one has them all. Without: as OCI referrers, which prove nothing and can be found. Throws IMAGE_NOT_PUSHED,
 * COSIGN_MISSING, COSIGN_FAILED, SIGN_KEY_UNUSABLE; without a key SKOPEO_MISSING, ATTACH_FAILED.
 */
export async function attach(options: AttachOptions): Promise<void> {
  const { documents, signKey: key, work, authFile, signal } = options;
  const pushed = pushedImage(options.image);
  const image = `${pushed.repository}@sha256:${pushed.sha256}`;
  const { pcrs, provenance, sbom } = statementsOf(documents, imageSubject(pushed));
  const abort = signal === undefined ? {} : { signal };
  if (key === undefined) {
    const artifacts = [pcrs, ...(provenance === undefined ? [] : [provenance])].map((value) => ({
      mediaType: STATEMENT_MEDIA_TYPE,
      predicateType: value.predicateType,
      bytes: Buffer.from(JSON.stringify(value)),
    }));
    if (documents.sbom !== undefined) {
      artifacts.push({
        mediaType: SBOM_MEDIA_TYPE,
        predicateType: sbom?.predicateType ?? '',
        bytes: Buffer.from(JSON.stringify(documents.sbom)),
      });
    }
    await attachReferrers(pushed, artifacts, { work, ...(authFile === undefined ? {} : { authFile }), ...abort });
    return;
  }
  for (const each of [provenance, sbom, pcrs]) {
    if (each === undefined) continue;
    await attachEnvelope(image, await signStatement(each, { key, work, ...abort }), { work, ...abort });
  }
  await signImage(image, { key, work, ...abort });
}
