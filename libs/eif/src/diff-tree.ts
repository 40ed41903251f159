import { compareBytes } from './compare-bytes.ts';
import type { FileDiff, TreeDiff } from './diff.ts';
import { fileName } from './file-name.ts';
import { MAX_LISTED_DIFFERENCES } from './limits.ts';
import { compressionOf } from './ramdisk.ts';
import { changesBetween, type RamdiskOf, sideOf, type TreeRecord, treeRecords } from './tree-records.ts';

/**
 * Compares two ramdisks file by file. Memory holds a record of each entry of A, the names that only B has, and the
 * differences that are listed. Throws as `ramdiskFiles` does.
 */
export async function diffTrees(a: RamdiskOf, b: RamdiskOf): Promise<TreeDiff> {
  const old = new Map<string, TreeRecord>();
  const keyInA = copyKeys((name) => old.has(name));
  for await (const record of treeRecords(a)) old.set(keyInA(record.name), record);

  const differences = new Differences();
  const matched = new Set<TreeRecord>();
  const added = new Set<string>();
  const keyInB = copyKeys((name) => added.has(name) || isIn(matched, old.get(name)));
  let last = -1;
  let outOfOrder: string | undefined;
  for await (const record of treeRecords(b)) {
    const key = keyInB(record.name);
    const before = old.get(key);
    if (before === undefined) {
      added.add(key);
      differences.add(key, undefined, record);
      continue;
    }
    matched.add(before);
    if (before.index < last) outOfOrder ??= record.name;
    last = Math.max(last, before.index);
    differences.add(key, before, record);
  }
  for (const [key, record] of old) if (!matched.has(record)) differences.add(key, record, undefined);

  const { added: more, removed, changed, listed } = differences;
  const plain =
    (await compressionOf(a.image, a.section)) === 'none' && (await compressionOf(b.image, b.section)) === 'none';
  const files: FileDiff[] = [];
  for (const { file, before, after } of listed) {
    const isContent = plain && file.changes.includes('content') && before !== undefined && after !== undefined;
    files.push(isContent ? { ...file, ...(await firstDifference(a, before, b, after)) } : file);
  }
  const total = more + removed + changed;
  return {
    added: more,
    removed,
    changed,
    files,
    more: total - files.length,
    ...(outOfOrder === undefined ? {} : { outOfOrder: fileName(Buffer.from(outOfOrder, 'latin1')) }),
    onlyArchive: total === 0 && outOfOrder === undefined,
  };
}

/** Gives each entry a key of its own: its name and, from the second of that name on, a NUL and the number. */
function copyKeys(isTaken: (name: string) => boolean): (name: string) => string {
  const copies = new Map<string, number>();
  return (name) => {
    if (!isTaken(name)) return name;
    const copy = (copies.get(name) ?? 1) + 1;
    copies.set(name, copy);
    return `${name}\0${copy}`;
  };
}

function isIn(records: ReadonlySet<TreeRecord>, record: TreeRecord | undefined): boolean {
  return record !== undefined && records.has(record);
}

class Differences {
  added = 0;
  removed = 0;
  changed = 0;
  readonly listed: { file: FileDiff; before: TreeRecord | undefined; after: TreeRecord | undefined }[] = [];

  add(key: string, before: TreeRecord | undefined, after: TreeRecord | undefined): void {
    const changes = before !== undefined && after !== undefined ? changesBetween(before, after) : [];
    const kind = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
    if (kind === 'changed' && changes.length === 0) return;
    this[kind] += 1;
    if (this.listed.length === MAX_LISTED_DIFFERENCES) return;
    const [name = '', copy] = key.split('\0');
    const file: FileDiff = {
      ...fileName(Buffer.from(name, 'latin1')),
      ...(copy === undefined ? {} : { copy: Number(copy) }),
      kind,
      changes,
      ...(before === undefined ? {} : { a: sideOf(before) }),
      ...(after === undefined ? {} : { b: sideOf(after) }),
    };
    this.listed.push({ file, before, after });
  }
}

async function firstDifference(
  a: RamdiskOf,
  before: TreeRecord,
  b: RamdiskOf,
  after: TreeRecord,
): Promise<Pick<FileDiff, 'firstDifference'>> {
  const data = ({ image, section }: RamdiskOf, { offset, size }: TreeRecord) =>
    image.data(section, { start: offset, end: offset + size });
  const { firstDifference } = await compareBytes(data(a, before), data(b, after));
  return firstDifference === undefined ? {} : { firstDifference };
}
