export { CmsError, type CmsErrorCode } from './errors.ts';
export { MAX_ENVELOPE_BYTES, MAX_PLAINTEXT_BYTES } from './limits.ts';
export { openEnvelope } from './open-envelope.ts';
export { type Envelope, parseEnvelope } from './parse-envelope.ts';
export { sealEnvelope } from './seal-envelope.ts';
