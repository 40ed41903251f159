import { compareBytes } from './compare-bytes.ts';
import type { FileDiff, TreeDiff } from './diff.ts';
import { EifError } from './errors.ts';
import { fileName } from './file-name.ts';
import { MAX_LISTED_DIFFERENCES, MAX_WAITING_RECORDS } from './limits.ts';
import { compressionOf } from './ramdisk.ts';
import { changesBetween, type RamdiskOf, sideOf, type TreeRecord, treeRecords } from './tree-records.ts';
import { WaitingRecords } from './waiting-records.ts';

/**
 * Compares two ramdisks file by file. Both are read side by side, and memory holds the entries that wait for one of their
 * name: few where the order is the same. Throws as `ramdiskFiles` does, and CPIO_TOO_LARGE when too many wait.
 */
export async function diffTrees(a: RamdiskOf, b: RamdiskOf): Promise<TreeDiff> {
  const differences = new Differences();
  const [waitingA, waitingB] = [new WaitingRecords(), new WaitingRecords()];
  const [left, right] = [treeRecords(a), treeRecords(b)];
  let last = { a: -1, b: -1 };
  let outOfOrder: string | undefined;
  const match = (before: TreeRecord, after: TreeRecord): void => {
    differences.add(before, after);
    // Pairs of the same order are found in that order.
    if (before.index < last.a || after.index < last.b) outOfOrder ??= after.name;
    last = { a: Math.max(last.a, before.index), b: Math.max(last.b, after.index) };
  };
  try {
    for (;;) {
      const { value: one } = await left.next();
      const { value: other } = await right.next();
      if (one === undefined && other === undefined) break;
      if (one !== undefined) {
        const partner = waitingB.take(one.name);
        if (partner === undefined) waitingA.add(one);
        else match(one, partner);
      }
      if (other !== undefined) {
        const partner = waitingA.take(other.name);
        if (partner === undefined) waitingB.add(other);
        else match(partner, other);
      }
      checkWaiting(waitingA.size + waitingB.size);
    }
  } finally {
    await left.return(undefined);
    await right.return(undefined);
  }
  for (const record of waitingB.left()) differences.add(undefined, record);
  for (const record of waitingA.left()) differences.add(record, undefined);

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

function checkWaiting(count: number): void {
  if (count <= MAX_WAITING_RECORDS) return;
  throw new EifError('CPIO_TOO_LARGE', `more than ${MAX_WAITING_RECORDS} files have other names or another order`);
}

class Differences {
  added = 0;
  removed = 0;
  changed = 0;
  readonly listed: { file: FileDiff; before: TreeRecord | undefined; after: TreeRecord | undefined }[] = [];

  add(before: TreeRecord | undefined, after: TreeRecord | undefined): void {
    const changes = before !== undefined && after !== undefined ? changesBetween(before, after) : [];
    const kind = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
    if (kind === 'changed' && changes.length === 0) return;
    this[kind] += 1;
    if (this.listed.length === MAX_LISTED_DIFFERENCES) return;
    const file: FileDiff = {
      ...fileName(Buffer.from((after ?? before)?.name ?? '', 'latin1')),
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
