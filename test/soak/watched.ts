import { readdir, readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';

export interface Sample {
  /** Since the steady load began. */
  readonly seconds: number;
  /** MiB that no file backs. */
  readonly anonymous: number;
  readonly resident: number;
  readonly descriptors: number;
  readonly threads: number;
  /** Longest time by which the event loop was late since the sample before, where the process says so. */
  readonly loopMs?: number;
}

/** A process whose memory and descriptors are looked at. */
export class Watched {
  readonly name: string;
  readonly samples: Sample[] = [];
  readonly #pid: number;
  readonly #metrics: string | undefined;

  /** `metrics`: the Unix socket where it tells its own. */
  constructor(name: string, pid: number, metrics?: string) {
    this.name = name;
    this.#pid = pid;
    this.#metrics = metrics;
  }

  async take(seconds: number): Promise<Sample> {
    const status = await readFile(`/proc/${this.#pid}/status`, 'utf8');
    const figure = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    const sample = {
      seconds: Math.round(seconds * 10) / 10,
      anonymous: figure('RssAnon') / 1024,
      resident: figure('VmRSS') / 1024,
      descriptors: await this.descriptors(),
      threads: figure('Threads'),
      ...(this.#metrics && { loopMs: await loopMs(this.#metrics) }),
    };
    this.samples.push(sample);
    return sample;
  }

  async descriptors(): Promise<number> {
    return (await readdir(`/proc/${this.#pid}/fd`)).length;
  }
}

async function loopMs(socketPath: string): Promise<number> {
  const metrics = await new Promise<string>((resolve, reject) => {
    get({ socketPath, path: '/metrics', agent: false }, (answer) => resolve(text(answer))).once('error', reject);
  });
  return Number(/^nodejs_eventloop_lag_seconds (\S+)$/m.exec(metrics)?.[1]) * 1000;
}

export const SAMPLE_HEADER =
  'process,seconds,anonymous_mib,resident_mib,descriptors,threads,loop_late_ms,requests,failed';

export function sampleRow(name: string, sample: Sample, { total, failed }: { total: number; failed: number }): string {
  const { seconds, anonymous, resident, descriptors, threads, loopMs } = sample;
  const figures = [anonymous, resident].map((value) => value.toFixed(2));
  return `${[name, seconds, ...figures, descriptors, threads, loopMs?.toFixed(1) ?? '', total, failed].join()}\n`;
}
