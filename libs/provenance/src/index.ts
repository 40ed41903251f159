export { type AttachOptions, attach } from './attach.ts';
export { type BesideOptions, writeBeside } from './beside.ts';
export { type DescribeOptions, describeEnclave, type EnclaveDocuments } from './documents.ts';
export { type Envelope, isSigned, openEnvelope, parseEnvelope, parseEnvelopes, preAuthEncoding } from './dsse.ts';
export { MAX_STATEMENT_FILE_BYTES } from './limits.ts';
export { ProvenanceError, type ProvenanceErrorCode } from './provenance-error.ts';
export { publicKey } from './public-key.ts';
export { checkImageSignature, type ImageSignature } from './simple-signing.ts';
export type { BuildFacts, ImageSource } from './slsa.ts';
export type { Statement, Subject } from './statement.ts';
export { BUILD_TYPE, BUILDER_ID, PCRS_TYPE, PROVENANCE_TYPE, SBOM_TYPE } from './uris.ts';
export {
  checkEif,
  signedMeasurements,
  type VerifiedImage,
  type VerifyImageOptions,
  verifyImage,
} from './verify-image.ts';
