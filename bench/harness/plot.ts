import type { Result } from '../results.ts';
import { judge } from './verdict.ts';

const WIDTH = 900;
const LABELS = 430;
const ROW = 18;
const TOP = 34;
/** Ends of the scale, in goals; a bar beyond is cut. */
const [LEAST, MOST] = [1 / 8, 8];

/** How much of each goal is reached, as bars from the line where it is met; to the right is better, each step twice. SVG. */
export function plot(results: ReadonlyMap<string, readonly Result[]>): string {
  const rows = [...results].flatMap(([part, all]) =>
    all.flatMap((result) => {
      const { reached } = judge(result);
      return reached === undefined ? [] : [{ label: `${part}: ${result.metric}`, reached }];
    }),
  );
  const at = (reached: number): number => {
    const inside = Math.min(MOST, Math.max(LEAST, reached));
    return LABELS + (Math.log2(inside / LEAST) / Math.log2(MOST / LEAST)) * (WIDTH - LABELS - 60);
  };
  const height = TOP + rows.length * ROW + 10;
  const lines = [LEAST, 1 / 4, 1 / 2, 1, 2, 4, MOST].map((step) => {
    const x = at(step).toFixed(1);
    const name = step < 1 ? `1/${1 / step}` : String(step);
    return `<line x1="${x}" x2="${x}" y1="${TOP - 8}" y2="${height - 8}" stroke="${step === 1 ? '#000' : '#ccc'}"/><text x="${x}" y="${TOP - 14}" text-anchor="middle">${name}</text>`;
  });
  const bars = rows.map(({ label, reached }, index) => {
    const y = TOP + index * ROW;
    const [from, to] = [at(1), at(reached)].sort((a, b) => a - b) as [number, number];
    const color = reached >= 1 ? '#2a7d4f' : '#b8452f';
    return [
      `<text x="${LABELS - 8}" y="${y + 12}" text-anchor="end">${escapeXml(label)}</text>`,
      `<rect x="${from.toFixed(1)}" y="${y + 2}" width="${Math.max(1, to - from).toFixed(1)}" height="${ROW - 6}" fill="${color}"/>`,
      `<text x="${WIDTH - 50}" y="${y + 12}">${reached.toFixed(2)}</text>`,
    ].join('');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="11">
<title>How much of each goal is reached</title>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${[...lines, ...bars].join('\n')}
</svg>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
