import type { DataSide, EifDiff, FieldDiff, FileDiff, FileSide, PcrDiff, SectionDiff, TreeDiff } from './diff.ts';
import { showMode } from './file-mode.ts';
import { showName, showText } from './file-name.ts';

/** A comparison as lines for people: header, each section, and last the registers. Safe to print. */
export function formatDiff(diff: EifDiff): string[] {
  return [
    diff.header.length === 0 ? 'header: same' : 'header: differs',
    ...diff.header.map(formatField),
    ...diff.sections.flatMap(formatSection),
    ...diff.pcrs.flatMap(formatPcr),
  ];
}

function formatSection({ name, equal, a, b, ...found }: SectionDiff): string[] {
  if (a === undefined || b === undefined) {
    return [`${name}: only in ${a === undefined ? 'B' : 'A'}, ${describe(a ?? b)}`];
  }
  if (equal) return [`${name}: same, ${a.size} bytes`];
  const lines = [
    `${name}: differs from byte ${found.firstDifference} on, ${formatSizes(a, b)}`,
    `  sha256: ${a.sha256} -> ${b.sha256}`,
    ...(found.fields ?? []).map(formatField),
  ];
  if (found.fields?.length === 0) lines.push('  the same values, written in other bytes');
  if (found.moreFields !== undefined) lines.push(`  and ${found.moreFields} more`);
  if (found.filesError !== undefined) lines.push(`  files not compared: ${showText(found.filesError.message)}`);
  return found.files === undefined ? lines : [...lines, ...formatTree(found.files)];
}

function formatTree({ added, removed, changed, files, more, outOfOrder, onlyArchive }: TreeDiff): string[] {
  if (onlyArchive) return ['  every file is the same: only inode numbers, padding or compression differ'];
  return [
    `  files: ${changed} changed, ${added} added, ${removed} removed`,
    ...files.flatMap(formatFile),
    ...(more === 0 ? [] : [`  and ${more} more`]),
    ...(outOfOrder === undefined ? [] : [`  in another order, from ${showName(outOfOrder)} on`]),
  ];
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

function formatFile(file: FileDiff): string[] {
  const { kind, changes, a, b, firstDifference } = file;
  const name = `  ${SIGNS[kind]} ${showName(file)}`;
  if (a === undefined || b === undefined) return [`${name}: ${describeFile(a ?? b)}`];
  const parts = changes.map((change) => {
    switch (change) {
      case 'type':
        return `      type: ${describeFile(a)} -> ${describeFile(b)}`;
      case 'mode':
        return `      mode: ${showMode(a.mode)} -> ${showMode(b.mode)}`;
      case 'owner':
        return `      owner: ${a.uid}:${a.gid} -> ${b.uid}:${b.gid}`;
      case 'content':
        return `      content: ${contentChange(a, b, firstDifference)}`;
      case 'target':
        return `      target: ${showName(a.target ?? { path: '' })} -> ${showName(b.target ?? { path: '' })}`;
      case 'mtime':
        return `      mtime: ${a.mtime} -> ${b.mtime}`;
      case 'links':
        return `      links: ${describeLink(a)} -> ${describeLink(b)}`;
      default:
        return `      device: ${describeDevice(a)} -> ${describeDevice(b)}`;
    }
  });
  return [name, ...parts];
}

function contentChange(a: FileSide, b: FileSide, firstDifference: number | undefined): string {
  const where = firstDifference === undefined ? '' : `from byte ${firstDifference} on, `;
  return `${where}${formatSizes(a, b)}, sha256 ${a.sha256} -> ${b.sha256}`;
}

function formatSizes(a: { size: number }, b: { size: number }): string {
  return a.size === b.size ? `${a.size} bytes` : `${a.size} -> ${b.size} bytes`;
}

function describeFile(side: FileSide | undefined): string {
  if (side === undefined) return 'nothing';
  const { mode, uid, gid, size, sha256, target, rdev } = side;
  const parts = [`${showMode(mode)} ${uid}:${gid}`];
  if (target !== undefined) parts.push(`to ${showName(target)}`);
  if (rdev !== undefined) parts.push(`device ${describeDevice(side)}`);
  if (sha256 !== undefined) parts.push(`${size} bytes, sha256 ${sha256}`);
  return parts.join(', ');
}

function describeLink({ hardLinkOf }: FileSide): string {
  return hardLinkOf === undefined ? 'first or only name' : `name of ${showName(hardLinkOf)}`;
}

function describeDevice({ rdev }: FileSide): string {
  return rdev === undefined ? 'none' : `${rdev.major},${rdev.minor}`;
}

function describe(side: DataSide | undefined): string {
  return side === undefined ? 'nothing' : `${side.size} bytes, sha256 ${side.sha256}`;
}

function formatField({ field, a = '(none)', b = '(none)' }: FieldDiff): string {
  return `  ${showText(field)}: ${showText(a)} -> ${showText(b)}`;
}

function formatPcr({ register, equal, a = '(none)', b = '(none)' }: PcrDiff): string[] {
  return equal ? [`${register}: same, ${a}`] : [`${register}: differs`, `  ${a} ->`, `  ${b}`];
}
