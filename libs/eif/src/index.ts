export type { ByteSource } from './byte-source.ts';
export type { SignatureAlgorithm } from './cose-sign1.ts';
export { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from './cpio-format.ts';
export { findInCpio, type ReadCpioEntry, readCpio } from './cpio-read.ts';
export { type CpioEntry, cpio } from './cpio-write.ts';
export type {
  DataSide,
  EifDiff,
  EifSide,
  FieldDiff,
  FileChange,
  FileDiff,
  FileSide,
  PcrDiff,
  SectionDiff,
  TreeDiff,
} from './diff.ts';
export { diffEif } from './diff-eif.ts';
export { EifError, type EifErrorCode } from './errors.ts';
export { openRamdiskFile, type RamdiskFileContent } from './extract-file.ts';
export { showMode } from './file-mode.ts';
export { type FileName, fileName, parseName, showName, showText } from './file-name.ts';
export { formatDiff } from './format-diff.ts';
export { type EifInspection, type InspectedRamdisk, type InspectedSection, inspectEif } from './inspect-eif.ts';
export type { Arch, EifHeader, EifSection, SectionType } from './layout.ts';
export { MAX_SIGNING_FILE_BYTES } from './limits.ts';
export type { EifMetadata } from './metadata.ts';
export { certificatePcr, extendPcr, imagePcr, instancePcr, type Measurements, PCR_BYTES, rolePcr } from './pcr.ts';
export { type Compression, compressionOf, type RamdiskFile, ramdiskFiles } from './ramdisk.ts';
export { type Eif, type ReadEifOptions, readEif } from './read-eif.ts';
export { namedSections } from './section-names.ts';
export { signEif } from './sign-eif.ts';
export { type EifSignature, verifySignature } from './signature.ts';
export { type Signing, signatureSection } from './signature-section.ts';
export { describeSignature, type SignatureState } from './signature-state.ts';
export { algorithmOfKey, type EifSigner, pemSigner } from './signer.ts';
export { checkSigningCertificate } from './signing-certificate.ts';
export { type EifContents, type WrittenEif, writeEif } from './write-eif.ts';
