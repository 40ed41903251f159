import type { EifErrorCode } from './errors.ts';
import type { FileName } from './file-name.ts';
import type { Measurements } from './pcr.ts';

/** What differs between two EIFs, A and B. Plain data: it can be printed as JSON and sent as such. */
export interface EifDiff {
  /** Byte for byte the same file. */
  equal: boolean;
  a: EifSide;
  b: EifSide;
  /** Fields of the header that differ, the order of the sections with them. */
  header: FieldDiff[];
  /** Every section of either, those of A first, equal ones too. */
  sections: SectionDiff[];
  /** Every register of either, equal ones too. */
  pcrs: PcrDiff[];
}

export interface EifSide {
  path: string;
  /** Bytes of the file. */
  size: number;
  measurements: Measurements;
}

/** A value on both sides as text; left out where a side has none. */
export interface FieldDiff {
  field: string;
  a?: string;
  b?: string;
}

export interface PcrDiff {
  register: keyof Measurements;
  equal: boolean;
  /** Left out for PCR8 of an unsigned image. */
  a?: string;
  b?: string;
}

export interface SectionDiff {
  /** `kernel`, `cmdline`, `metadata`, `signature`, or `ramdisk0` and so on. */
  name: string;
  equal: boolean;
  /** Left out where a side has no such section. */
  a?: DataSide;
  b?: DataSide;
  /** Where both have the section and it differs: offset of the first differing byte in its data. */
  firstDifference?: number;
  /** Of the command line: its words, of metadata: its keys, of a signature: algorithm, certificate and the like. */
  fields?: FieldDiff[];
  /** How many more fields differ than are listed. */
  moreFields?: number;
  /** Of a ramdisk: its files. */
  files?: TreeDiff;
  /** Why the files of a ramdisk could not be compared. */
  filesError?: { code: EifErrorCode; message: string };
}

export interface DataSide {
  /** Bytes. */
  size: number;
  /** Lower-case hexadecimal. */
  sha256: string;
}

export interface TreeDiff {
  /** How many files differ in each way; `files` may list fewer. */
  added: number;
  removed: number;
  changed: number;
  /** Changed ones, then added ones in the order of B, then removed ones in the order of A; a bounded number of them. */
  files: FileDiff[];
  /** How many more differ than are listed. */
  more: number;
  /** The first file of B that stands at another place among those that both have. */
  outOfOrder?: FileName;
  /** No file differs: what does is inode numbers, link counts, padding, or the compression. */
  onlyArchive: boolean;
}

export type FileChange = 'type' | 'mode' | 'owner' | 'content' | 'target' | 'mtime' | 'links' | 'device';

export interface FileDiff extends FileName {
  kind: 'added' | 'removed' | 'changed';
  /** What of it changed; empty for one that was added or removed. */
  changes: FileChange[];
  a?: FileSide;
  b?: FileSide;
  /** Changed content of uncompressed ramdisks: offset of the first differing byte in the file. */
  firstDifference?: number;
}

export interface FileSide {
  /** Bytes that stand with this name. */
  size: number;
  /** Of a regular file, lower-case hexadecimal. */
  sha256?: string;
  /** As in `stat(2)`. */
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  /** Of a symlink. */
  target?: FileName;
  rdev?: { major: number; minor: number };
  /** Another name of the same file that stands before it in the archive. */
  hardLinkOf?: FileName;
}
