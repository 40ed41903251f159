/**
 * Types of what Enclaver states. The UUID is random and stands for Enclaver: a URN of it claims no domain, and needs none to
 * stay reachable. What each type holds is in docs/supply-chain.md.
 */
export const NAMESPACE_UUID = 'cf7190be-6aa6-4741-b6f8-59fcb92d6a3c';
const NAMESPACE = `urn:uuid:${NAMESPACE_UUID}`;

export const BUILD_TYPE = `${NAMESPACE}#enclaver-build-v1`;
export const BUILDER_ID = `${NAMESPACE}#enclaver-builder`;
export const PCRS_TYPE = `${NAMESPACE}#enclaver-pcrs-v1`;
/** SLSA provenance 1.0. */
export const PROVENANCE_TYPE = 'https://slsa.dev/provenance/v1';
/** CycloneDX as in-toto predicate, as cosign's `--type cyclonedx` names it. */
export const SBOM_TYPE = 'https://cyclonedx.org/bom';
