import type { BuildProgress } from '@enclaver/bus';

/** Passes on what is new: a stage or text at once, bytes at most once per interval, and the last ones before the next stage. */
export function throttle(
  send: (progress: BuildProgress) => void,
  intervalMs: number,
  now: () => number = performance.now.bind(performance),
): (progress: BuildProgress) => void {
  let last: BuildProgress | undefined;
  let held: BuildProgress | undefined;
  let sentAt = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const newStage = last?.stage !== progress.stage;
    const newText = last?.text !== progress.text;
    const isDone = progress.done !== undefined && progress.done === progress.total;
    if (newStage && held !== undefined) send(held);
    last = progress;
    held = progress;
    // A pull changes its text with every step of every layer
    const urgent = newStage || isDone || (newText && progress.stage !== 'pull');
    if (!urgent && now() - sentAt < intervalMs) return;
    send(progress);
    held = undefined;
    sentAt = now();
  };
}
