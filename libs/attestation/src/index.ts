export type { AttestationDocument, DocumentExpectation, VerifyOptions } from './document.ts';
