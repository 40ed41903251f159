export {
  type Cidr,
  cidrContains,
  formatAddress,
  type IpAddress,
  parseCidr,
  parseIpAddress,
  rangeWithin,
  unmapped,
  unmappedRange,
} from './address.ts';
export { RESERVED_VSOCK_PORTS } from './conflicts.ts';
export { DURATION_ALLOWED, DurationError, parseDuration } from './duration.ts';
export { type EgressPattern, EgressPatternError, type PortRange, parseEgressPattern } from './egress-pattern.ts';
export { ManifestError, type ManifestErrorCode, type ManifestProblem, type ProblemCode } from './errors.ts';
export { type ImageSource, ImageSourceError, parseImageReference, parseImageSource } from './image-source.ts';
export { manifestJsonSchema } from './json-schema.ts';
export { MAX_MANIFEST_BYTES, MAX_TLS_CONNECTIONS } from './limits.ts';
export { needsEgress, needsKms, needsStore } from './needs.ts';
export { parseManifest } from './parse.ts';
export type { AcmeCertificate } from './schema/acme-certificate.ts';
export type { Clients } from './schema/clients.ts';
export { type IngressPort, needsPeer, type RateLimit } from './schema/ingress.ts';
export type { Manifest } from './schema/manifest.ts';
export type { Tls } from './schema/tls.ts';
export type {
  AttestedCertificate,
  FilesCertificate,
  KmsCertificate,
  TlsCertificate,
} from './schema/tls-certificate.ts';
export { decodeManifest } from './yaml-source.ts';
