const KIB = 1024;
const MIB = 1024 * KIB;

/** Registries and root file systems are hostile input: each of these ends one that was made to hurt. */
export const limits = {
  /** Attestations of one image, as fetched: an SBOM of 50,000 packages has 17 MB. */
  attestationBytes: 128 * MIB,
  /** One signed statement: the largest is an SBOM. */
  envelopeBytes: 64 * MIB,
  /** Signatures of one image, as fetched: 600 bytes each. */
  signatureBytes: 4 * MIB,
  /** Envelopes looked at: an image that is attested at every build for years has some hundreds. */
  envelopes: 1024,
  /** Signatures of one envelope; each costs one ECDSA check. */
  signatures: 16,
  /** Subjects of a statement; ours have two. */
  subjects: 1024,
  /** A public key in PEM has 200 bytes. */
  keyBytes: 16 * KIB,
  /** What a tool may say on stdout, unless it is asked for attestations. */
  toolBytes: MIB,
  /** Kept of what a tool says on stderr: its last words hold the error. */
  toolTextChars: 16 * KIB,
  /** One command of cosign or skopeo: it moves a few MiB at most, or talks to a KMS. */
  toolMs: 120_000,
  /** Index of what refers to an image, as registries take it. */
  indexBytes: 4 * MIB,
} as const;

/** A file with signed PCR statements: all that cosign downloads of an image, an SBOM of a few MB among it. */
export const MAX_STATEMENT_FILE_BYTES = 32 * MIB;

/** Bounds of one SBOM. What goes over one is counted in it and not listed. */
export const sbomLimits = {
  /** Packages listed: a desktop system has some 5,000, the largest node_modules seen 20,000. 50,000 take some 200 MB. */
  packages: 50_000,
  /** A database of a package manager: Debian's of a desktop has 6 MB. */
  databaseBytes: 64 * MIB,
  /** One package.json, METADATA or status file of one package. */
  metadataBytes: MIB,
  /** All of them together, since they pass through memory one at a time but cost time each. */
  metadataBytesInAll: 512 * MIB,
  /** Name, version or licence: longer ones are cut from the list as not sound. */
  fieldChars: 512,
  /** Files named one by one that belong to no package; the others are counted. */
  looseFiles: 10_000,
  /** Paths that package databases claim: a desktop has 500,000; they stay in memory with some 150 bytes each. */
  ownedPaths: 1_000_000,
  /** Notes on what could not be read. */
  notes: 100,
} as const;
