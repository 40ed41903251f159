import { readFileSync } from 'node:fs';

const [, hard] = /^Max open files\s+\d+\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
const descriptors = hard === undefined || hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);

/** Open connections that benchmarks ask for: as many as a relay, with two descriptors each, may have here, and some for itself. */
export const MOST_CONNECTIONS = Math.min(10_000, Math.floor((descriptors - 400) / 200) * 100);
