export {
  type AttestedCertificate,
  type VerifyCertificateOptions,
  verifyAttestedCertificate,
} from './attested/verify-certificate.ts';
export { awsNitroRoot } from './aws-root.ts';
export type { AttestationDocument, DocumentExpectation, VerifyOptions } from './document.ts';
export { AttestationError, type AttestationErrorCode, type AttestationFailure } from './errors.ts';
export { MAX_DOCUMENT_BYTES } from './limits.ts';
export { parseDocument } from './parse-document.ts';
export { verifyDocument } from './verify-document.ts';
