import {
  describeSignature,
  type EifInspection,
  type EifMetadata,
  type InspectedSection,
  showText,
} from '@enclaver/eif';
import { signingCertificate } from './signing-certificate.ts';
import { formatTable } from './table.ts';

/** For programs: first the keys of `nitro-cli describe-eif`, in its order and left out as there, then our own. */
export function inspectionJson(found: EifInspection): Record<string, unknown> {
  const { header, metadata, signature } = found;
  const state = describeSignature(found);
  return {
    EifVersion: header.version,
    Measurements: { HashAlgorithm: 'Sha384 { ... }', ...found.measurements },
    IsSigned: found.signed,
    ...(signature === undefined ? {} : { SigningCertificate: signingCertificate(signature.certificate) }),
    CheckCRC: found.crcValid,
    ...(state === undefined ? {} : { SignatureCheck: state.verified }),
    ...(metadata === undefined ? {} : metadataJson(metadata)),
    Size: found.size,
    Architecture: header.arch,
    Flags: header.flags,
    DefaultMemory: integer(header.defaultMem),
    DefaultCPUs: integer(header.defaultCpus),
    CRC32: hex(header.crc32),
    ...(found.kernelRelease === undefined ? {} : { KernelRelease: found.kernelRelease }),
    ...(found.cmdline === undefined ? {} : { CommandLine: found.cmdline }),
    Sections: found.sections.map(sectionJson),
    Problems: problemsOf(found).map(({ code, message }) => ({ Code: code, Message: message })),
  };
}

/** For people, safe to print. */
export function inspectionText(path: string, found: EifInspection): string {
  const { header, metadata } = found;
  const facts: [string, string][] = [
    ['File', `${path}, ${found.size} bytes`],
    ['Format', `EIF version ${header.version}, ${header.arch}, flags 0x${header.flags.toString(16)}`],
    ['Defaults', `${header.defaultMem} bytes of memory, ${header.defaultCpus} CPUs`],
    ['CRC', `${hex(header.crc32)}, ${found.crcValid ? 'right' : 'wrong'}`],
    ['Image', metadata === undefined ? 'unknown' : `${metadata.ImageName} ${metadata.ImageVersion}`],
    ['Built', metadata === undefined ? 'unknown' : builtText(metadata.BuildMetadata)],
    ['Kernel', found.kernelRelease ?? 'unknown'],
    ['Command line', found.cmdline ?? 'unknown'],
    ['Signature', signatureText(found)],
  ];
  const columns = ['section', 'offset', 'size', 'files', 'SHA-384 of the data'];
  return [
    ...facts.map(([name, value]) => `${name.padEnd(13)} ${showText(value)}\n`),
    '\n',
    formatTable(columns, found.sections.map(sectionRow)),
    '\n',
    formatTable(['register', 'value'], Object.entries(found.measurements)),
    ...problemsOf(found).map(({ code, message }) => `\nproblem ${code}: ${showText(message)}\n`),
  ].join('');
}

/** Everything that is wrong, with what does not stop a reader: the signature, its dates, a ramdisk. */
function problemsOf(found: EifInspection): { code: string; message: string }[] {
  const signature = describeSignature(found);
  return [
    ...found.problems,
    ...(signature?.error === undefined ? [] : [{ code: 'EIF_SIGNATURE', message: signature.error }]),
    ...found.sections.flatMap(({ name, ramdisk }) =>
      ramdisk?.error === undefined ? [] : [{ code: ramdisk.error.code, message: `${name}: ${ramdisk.error.message}` }],
    ),
  ];
}

function metadataJson({ ImageName, ImageVersion, BuildMetadata, DockerInfo, CustomMetadata }: EifMetadata) {
  const fixed = { ...BuildMetadata, DockerInfo };
  const isObject = typeof CustomMetadata === 'object' && CustomMetadata !== null && !Array.isArray(CustomMetadata);
  // nitro-cli puts the user's keys beside its own; none of them may stand in for one of those.
  const custom = isObject ? { ...CustomMetadata, ...fixed } : { CustomMetadata };
  return { ImageName, ImageVersion, Metadata: { ...fixed, ...(CustomMetadata === null ? {} : custom) } };
}

function sectionJson({ name, type, offset, size, sha384, ramdisk }: InspectedSection): Record<string, unknown> {
  return {
    Name: name,
    Type: type,
    Offset: offset,
    Size: size,
    SHA384: sha384,
    ...(ramdisk?.compression === undefined ? {} : { Compression: ramdisk.compression }),
    ...(ramdisk?.files === undefined ? {} : { Files: ramdisk.files }),
  };
}

function sectionRow({ name, offset, size, sha384, ramdisk }: InspectedSection): string[] {
  const files = ramdisk === undefined ? '' : String(ramdisk.files ?? 'unknown');
  const compressed = ramdisk?.compression === 'gzip' ? ' in gzip' : '';
  return [name, String(offset), String(size), `${files}${compressed}`, sha384];
}

function signatureText(found: EifInspection): string {
  const state = describeSignature(found);
  if (state === undefined) return 'none';
  if (!state.verified) return 'does not verify';
  const { algorithm, subject, notBefore, notAfter, error } = state;
  const by = `${algorithm} by ${subject.replaceAll('\n', ', ')}`;
  const dates = `${notBefore.toISOString()} to ${notAfter.toISOString()}`;
  return `${by}, ${error === undefined ? 'valid' : 'not valid now, only'} from ${dates}`;
}

function builtText({ BuildTime, BuildTool, BuildToolVersion, OperatingSystem, KernelVersion }: BuildMetadata): string {
  return `${BuildTime} by ${BuildTool} ${BuildToolVersion}, for ${OperatingSystem} ${KernelVersion}`;
}

type BuildMetadata = EifMetadata['BuildMetadata'];

/** A number, or text where a number of JavaScript would not be exact. */
function integer(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}

function hex(crc32: number): string {
  return crc32.toString(16).padStart(8, '0');
}
