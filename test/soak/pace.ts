import { setTimeout as sleep } from 'node:timers/promises';
import type { Traffic } from './traffic.ts';

/** Requests under way at a time when the stack gets as many as it bears. */
const FULL = 32;
/** Requests under way at a time at most; what is due beyond that is left out. */
const OPEN_MAX = 256;
const TICK_MS = 10;

/** Requests a second that the stack bears: the next one is sent when one is answered. */
export async function capacity(traffic: Traffic, ms: number): Promise<number> {
  const begun = performance.now();
  const before = traffic.total;
  const work = async (): Promise<void> => {
    while (performance.now() < begun + ms) await traffic.one();
  };
  await Promise.all(Array.from({ length: FULL }, work));
  return ((traffic.total - before) * 1000) / (performance.now() - begun);
}

/** So many requests a second, whatever answers come, until `isOver` says so. Returns how many were left out. */
export async function steadily(traffic: Traffic, perSecond: number, isOver: () => boolean): Promise<number> {
  let last = performance.now();
  let due = 0;
  let leftOut = 0;
  while (!isOver()) {
    await sleep(TICK_MS);
    const now = performance.now();
    due += ((now - last) * perSecond) / 1000;
    last = now;
    for (; due >= 1; due--) {
      if (traffic.open < OPEN_MAX) void traffic.one();
      else leftOut += 1;
    }
  }
  while (traffic.open > 0) await sleep(TICK_MS);
  return leftOut;
}
