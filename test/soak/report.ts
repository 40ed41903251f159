import type { SoakOptions } from './soak.ts';
import { KINDS, type Traffic } from './traffic.ts';
import { type Bound, grows, type Trend, trendOf } from './trend.ts';
import type { Sample } from './watched.ts';

export interface Outcome {
  readonly options: Pick<SoakOptions, 'connections' | 'minutes' | 'load'>;
  readonly seconds: number;
  /** Requests a second when the next one is sent as soon as one is answered. */
  readonly bears: number;
  /** Requests that were due while as many as may be were under way. */
  readonly leftOut: number;
  readonly traffic: Pick<Traffic, 'done' | 'total' | 'connections' | 'failed' | 'failures' | 'bytes'>;
  /** Connections that the kernel reset for want of memory for TCP: then what failed may be none of ours. */
  readonly givenUpForMemory: number;
  readonly lines: {
    readonly written: number;
    readonly read: number;
    readonly lost: number;
    readonly repeated: number;
    readonly wrong: number;
  };
  readonly processes: readonly ProcessOutcome[];
}

export interface ProcessOutcome {
  readonly name: string;
  readonly samples: readonly Sample[];
  /** With no connection open, before the load and after it. */
  readonly descriptors: { readonly before: number; readonly after: number };
}

/** Of memory that no file backs: 6 MiB an hour in a run of two hours. In one of three minutes a heap that is collected has such teeth. */
export const MEMORY_GROWTH_BYTES = 8 * 1024 ** 2;
export const MEMORY: Bound = { growth: MEMORY_GROWTH_BYTES / 1024 ** 2, percent: 10 };

/**
 * nats-server 2.9 gives back every two minutes what it holds for messages that were dropped: it goes from 10 to 44 MiB and back on two
 * slow cores. Where there are fewer than ten such teeth, one of them is a trend.
 */
const TEETH = { name: 'nats-server', seconds: 120, mib: 64 };
const FEW_TEETH = 10;

/** Go starts threads for writes that wait for a disk, some over minutes; those of the others are fixed. */
const THREADS: Bound = { growth: 4, percent: 10 };

/** Without a connection after the load, more than before it: files of nats-server come and go. */
export const MORE_DESCRIPTORS = 4;

/** Of the requests that were due: a machine that stands still for a moment leaves some out. */
const LEFT_OUT_PART = 0.1;

export interface Judged {
  readonly name: string;
  readonly memory: Trend;
  readonly threads: Trend;
  readonly grown: readonly string[];
}

export function judge({ name, samples, descriptors }: ProcessOutcome): Judged {
  const trend = (of: 'anonymous' | 'threads'): Trend =>
    trendOf(samples.map((sample) => ({ seconds: sample.seconds, value: sample[of] })));
  const [memory, threads] = [trend('anonymous'), trend('threads')];
  const hasTeeth = name === TEETH.name && (samples.at(-1)?.seconds ?? 0) < FEW_TEETH * TEETH.seconds;
  const bound = hasTeeth ? { ...MEMORY, growth: MEMORY.growth + TEETH.mib } : MEMORY;
  const grown = [
    ...(grows(memory, bound) ? ['memory'] : []),
    ...(grows(threads, THREADS) ? ['threads'] : []),
    ...(descriptors.after > descriptors.before + MORE_DESCRIPTORS ? ['descriptors'] : []),
  ];
  return { name, memory, threads, grown };
}

/** What is not as it has to be; nothing, where all is well. */
export function faultsOf(outcome: Outcome): string[] {
  const { options, traffic, lines, processes } = outcome;
  const counts = {
    'requests failed': traffic.failed,
    'lines were lost': lines.lost,
    'lines came twice': lines.repeated,
    'lines were other ones': lines.wrong,
    'connections were not made': Math.max(0, options.connections - traffic.connections),
    'requests were left out, more than a tenth of those due': leftOutTooMany(outcome),
  };
  return [
    ...Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [`${count} ${what}`] : [])),
    ...processes.map(judge).flatMap(({ name, grown }) => grown.map((what) => `${what} of ${name} grows`)),
  ];
}

/** A stack that became slow is not flat. */
function leftOutTooMany({ leftOut, traffic }: Outcome): number {
  return leftOut > LEFT_OUT_PART * (leftOut + traffic.total) ? leftOut : 0;
}

const count = (value: number): string => Math.round(value).toLocaleString('en');
const signed = (value: number): string => `${value > 0 ? '+' : ''}${value.toFixed(1)}`;

/** How often each failed that did. */
export function failuresOf({ traffic }: Pick<Outcome, 'traffic'>): string[] {
  return [...traffic.failures].map(([failure, times]) => `- ${times} × ${failure}`);
}

/** Two tables in Markdown, as docs/soak.md has them. */
export function tables(outcome: Outcome): string {
  const { traffic, lines, seconds } = outcome;
  const perSecond = traffic.total / seconds;
  const rows = outcome.processes.map((one) => {
    const { memory, threads, grown } = judge(one);
    const resident = trendOf(one.samples.map((sample) => ({ seconds: sample.seconds, value: sample.resident })));
    const late = one.samples.flatMap(({ loopMs }) => loopMs ?? []);
    return [
      one.name,
      `${memory.median.toFixed(1)} MiB`,
      `${signed(memory.perHour)} MiB/h, ${signed(memory.percent)} %`,
      `${resident.median.toFixed(1)} MiB`,
      `${one.descriptors.before} → ${one.descriptors.after}`,
      `${threads.median}`,
      late.length === 0 ? '–' : `${count(Math.max(...late))} ms`,
      grown.length === 0 ? 'flat' : `**${grown.join(', ')}**`,
    ];
  });
  const kinds = Object.keys(KINDS) as (keyof typeof KINDS)[];
  return [
    table(
      ['What', 'Seen'],
      [
        ['time', `${(seconds / 60).toFixed(1)} min`],
        [
          'the stack bears',
          `${count(outcome.bears)} requests/s; it got ${count(perSecond)}, ${outcome.leftOut} left out`,
        ],
        ['connections', count(traffic.connections)],
        ['requests', `${count(traffic.total)}, ${traffic.failed} failed`],
        ['of these', kinds.map((kind) => `${kind} ${count(traffic.done[kind])}`).join(', ')],
        ['connections that the kernel gave up for want of memory for TCP', count(outcome.givenUpForMemory)],
        ['bytes of bodies, each compared', count(traffic.bytes)],
        [
          'log lines',
          `${count(lines.written)} written, ${lines.lost} lost, ${lines.repeated} twice, ${lines.wrong} wrong`,
        ],
      ],
    ),
    table(
      ['Process', 'Anonymous', 'Trend', 'Resident', 'Descriptors', 'Threads', 'Loop late at most', 'Verdict'],
      rows,
    ),
  ].join('\n\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
