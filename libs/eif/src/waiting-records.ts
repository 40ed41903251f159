import type { TreeRecord } from './tree-records.ts';

interface Queue {
  records: TreeRecord[];
  taken: number;
}

/** Records of one ramdisk that wait for theirs in the other, by name; several of one name in their order. */
export class WaitingRecords {
  size = 0;
  readonly #queues = new Map<string, Queue>();

  add(record: TreeRecord): void {
    this.size += 1;
    const queue = this.#queues.get(record.name);
    if (queue === undefined) this.#queues.set(record.name, { records: [record], taken: 0 });
    else queue.records.push(record);
  }

  take(name: string): TreeRecord | undefined {
    const queue = this.#queues.get(name);
    if (queue === undefined) return undefined;
    this.size -= 1;
    queue.taken += 1;
    if (queue.taken === queue.records.length) this.#queues.delete(name);
    return queue.records[queue.taken - 1];
  }

  /** Those that still wait, in the order in which they came. */
  left(): TreeRecord[] {
    const all = [...this.#queues.values()].flatMap(({ records, taken }) => records.slice(taken));
    return all.sort((a, b) => a.index - b.index);
  }
}
