import { createHash } from 'node:crypto';
import { EifError } from './errors.ts';
import { kernelRelease } from './kernel-release.ts';
import type { EifHeader, EifSection } from './layout.ts';
import { decodeMetadata, type EifMetadata } from './metadata.ts';
import type { Measurements } from './pcr.ts';
import { type Compression, compressionOf, ramdiskFiles } from './ramdisk.ts';
import { checkCrc, decodeCmdline } from './read-eif.ts';
import { type ScannedEif, scanEif } from './scan-eif.ts';
import { namedSections } from './section-names.ts';
import { checkSignature, type EifSignature } from './signature.ts';

/** All that can be said about a file that has the layout of an EIF. What could not be read is in `problems`. */
export interface EifInspection {
  size: number;
  header: EifHeader;
  crcValid: boolean;
  sections: InspectedSection[];
  /** Computed from the bytes of the file; PCR8 only with a signature that verifies. */
  measurements: Measurements;
  cmdline?: string;
  metadata?: EifMetadata;
  kernelRelease?: string;
  /** There is a signature section. */
  signed: boolean;
  /** A signature that verifies and is for this image. Its dates were not checked: see `describeSignature`. */
  signature?: EifSignature;
  signatureError?: EifError;
  /** What makes `readEif` refuse the file: EIF_CRC, EIF_SECTION, EIF_METADATA, in this order. */
  problems: EifError[];
}

export interface InspectedSection extends EifSection {
  /** `kernel`, `cmdline`, `metadata`, `signature`, or `ramdisk0` and so on. */
  name: string;
  /** Of the data, lower-case hexadecimal. */
  sha384: string;
  ramdisk?: InspectedRamdisk;
}

export interface InspectedRamdisk {
  compression?: Compression;
  /** How many names it holds; left out when it could not be read. */
  files?: number;
  error?: EifError;
}

/**
 * Describes an EIF as far as it can be: other than `readEif` it goes on at a wrong CRC, unreadable metadata, a bad
 * signature or ramdisk, and says so in what it gives. Throws as `scanEif` does for a file that is no EIF.
 */
export async function inspectEif(path: string): Promise<EifInspection> {
  const scan = await scanEif(path);
  const { header, kept, registers, size } = scan;
  const crc = attempt(() => checkCrc(scan));
  const cmdline = attempt(() => decodeCmdline(kept.get('cmdline') ?? Buffer.alloc(0)));
  const metadata = attempt(() => decodeMetadata(kept.get('metadata') ?? Buffer.alloc(0)));
  const raw = kept.get('signature');
  const signature = raw === undefined ? {} : attempt(() => checkSignature(raw, registers.PCR0));
  const kernel = scan.sections.find(({ type }) => type === 'kernel');
  const release = kernel === undefined ? undefined : await kernelRelease(scan, kernel);
  const sections: InspectedSection[] = [];
  for (const [name, section] of namedSections(scan.sections)) {
    const ramdisk = section.type === 'ramdisk' ? { ramdisk: await inspectRamdisk(scan, section) } : {};
    sections.push({ ...section, name, sha384: await sha384Of(scan, section), ...ramdisk });
  }
  return {
    size,
    header,
    crcValid: crc.error === undefined,
    sections,
    measurements: signature.value === undefined ? registers : { ...registers, PCR8: signature.value.PCR8 },
    ...(cmdline.value === undefined ? {} : { cmdline: cmdline.value }),
    ...(metadata.value === undefined ? {} : { metadata: metadata.value }),
    ...(release === undefined ? {} : { kernelRelease: release }),
    signed: raw !== undefined,
    ...(signature.value === undefined ? {} : { signature: signature.value }),
    ...(signature.error === undefined ? {} : { signatureError: signature.error }),
    problems: [crc, cmdline, metadata].flatMap(({ error }) => (error === undefined ? [] : [error])),
  };
}

async function inspectRamdisk(scan: ScannedEif, section: EifSection): Promise<InspectedRamdisk> {
  const found: InspectedRamdisk = {};
  try {
    found.compression = await compressionOf(scan, section);
    let files = 0;
    for await (const _ of ramdiskFiles(scan, section)) files += 1;
    return { ...found, files };
  } catch (error) {
    if (error instanceof EifError && error.code !== 'EIF_CHANGED') return { ...found, error };
    throw error;
  }
}

async function sha384Of(scan: ScannedEif, section: EifSection): Promise<string> {
  const hash = createHash('sha384');
  for await (const piece of scan.data(section)) hash.update(piece);
  return hash.digest('hex');
}

function attempt<Value>(action: () => Value): { value?: Value; error?: EifError } {
  try {
    return { value: action() };
  } catch (error) {
    if (error instanceof EifError) return { error };
    throw error;
  }
}
