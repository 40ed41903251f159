const CONTEXT_LINES = 3;

/**
 * One change of a text in the unified format of diff(1): everything between the first and the last line that differ is one
 * hunk. Empty for equal texts.
 */
export function unifiedDiff(before: string, after: string, beforeName: string, afterName: string): string {
  if (before === after) return '';
  const [old, now] = [linesOf(before), linesOf(after)];
  const shorter = Math.min(old.length, now.length);
  let head = 0;
  while (head < shorter && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const start = Math.max(0, head - CONTEXT_LINES);
  const behind = Math.min(tail, CONTEXT_LINES);
  const [oldEnd, nowEnd] = [old.length - tail, now.length - tail];
  const range = (end: number): string => {
    const count = end + behind - start;
    return `${count === 0 ? start : start + 1},${count}`;
  };
  return [
    `--- ${beforeName}\n+++ ${afterName}\n@@ -${range(oldEnd)} +${range(nowEnd)} @@\n`,
    ...old.slice(start, head).map((line) => marked(' ', line)),
    ...old.slice(head, oldEnd).map((line) => marked('-', line)),
    ...now.slice(head, nowEnd).map((line) => marked('+', line)),
    ...old.slice(oldEnd, oldEnd + behind).map((line) => marked(' ', line)),
  ].join('');
}

/** Each with its line end; the last one may have none. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function marked(sign: string, line: string): string {
  return `${sign}${line}${line.endsWith('\n') ? '' : '\n\\ No newline at end of file\n'}`;
}
