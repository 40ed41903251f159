export type ProvenanceErrorCode =
  | 'ATTACH_FAILED'
  | 'COSIGN_FAILED'
  | 'COSIGN_MISSING'
  | 'EIF_DIFFERS'
  | 'ENVELOPE_INVALID'
  | 'IMAGE_NOT_PUSHED'
  | 'PCR_STATEMENT_DIFFERS'
  | 'PCR_STATEMENT_MISSING'
  | 'PROVENANCE_MISSING'
  | 'PUBLIC_KEY_INVALID'
  | 'SIGNATURE_INVALID'
  | 'SIGNATURE_MISSING'
  | 'SIGN_KEY_UNUSABLE'
  | 'SKOPEO_MISSING'
  | 'STATEMENT_INVALID'
  | 'SUBJECT_DIFFERS';

const DO_NOT_RUN = 'do not run this image; ask whoever published it';

/** What helps, unless the place of the error knows better. */
const remedies: Partial<Record<ProvenanceErrorCode, string>> = {
  COSIGN_MISSING: 'install cosign 2, or run scripts/setup',
  EIF_DIFFERS: DO_NOT_RUN,
  ENVELOPE_INVALID: 'give what `cosign download attestation` or `cosign attest-blob --bundle` writes',
  IMAGE_NOT_PUSHED: 'push the image first, and name it as REPOSITORY@sha256:…',
  PCR_STATEMENT_DIFFERS: DO_NOT_RUN,
  PCR_STATEMENT_MISSING: 'the image must come from `enclaver build --push --sign KEY`',
  PROVENANCE_MISSING: 'the image must come from `enclaver build --push --provenance --sign KEY`',
  PUBLIC_KEY_INVALID: 'give the cosign.pub that `cosign generate-key-pair` wrote',
  SIGNATURE_INVALID: DO_NOT_RUN,
  SIGNATURE_MISSING: 'the image must come from `enclaver build --push --sign KEY`',
  SIGN_KEY_UNUSABLE: 'name a key of `cosign generate-key-pair`, and give its password in COSIGN_PASSWORD',
  SKOPEO_MISSING: 'apt-get install skopeo, or run scripts/setup',
  SUBJECT_DIFFERS: DO_NOT_RUN,
};

/** The one error class of this package. The message says what was found and what is allowed. */
export class ProvenanceError extends Error {
  override readonly name = 'ProvenanceError';
  readonly code: ProvenanceErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy?: string;

  constructor(code: ProvenanceErrorCode, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    const remedy = options.remedy ?? remedies[code];
    if (remedy !== undefined) this.remedy = remedy;
  }
}
