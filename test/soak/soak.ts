import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Frame } from '../faults/frame.ts';
import { nodeRoot } from '../faults/node-root.ts';
import { randomFrom } from '../faults/random.ts';
import { SERVICE_ENV } from '../stack/service-env.ts';
import { bytesServer } from './bytes.ts';
import { NumberedLines } from './numbered-lines.ts';
import { capacity, steadily } from './pace.ts';
import type { Outcome } from './report.ts';
import { givenUpForMemory } from './tcp-memory.ts';
import { Traffic } from './traffic.ts';
import { SAMPLE_HEADER, sampleRow, Watched } from './watched.ts';

export interface SoakOptions {
  /** At least so many connections, and at least so long; what takes longer decides. */
  readonly connections: number;
  readonly minutes: number;
  /** Part of what the stack was just measured to bear. */
  readonly load: number;
  /** For `samples.csv`. */
  readonly folder: string;
  readonly seed: number;
  /** More processes to look at, by name. */
  readonly beside?: Readonly<Record<string, number>>;
  /** Ends it before its time; what there is until then is told. */
  readonly stopped?: AbortSignal;
  readonly say?: (text: string) => void;
}

/** Samples in the whole time, and the longest time between two. */
const SAMPLES = 60;
const SAMPLE_S_MAX = 60;
/** Before the load is measured: Node compiles what runs often. */
const WARM_MS = 5_000;
const CAPACITY_MS = 10_000;
/** A quarter of the memory twice over, and a 128th of that: V8's `ResourceConstraints::ConfigureDefaults` on 64 bits. */
const ODYN_HEAP = '--max-old-space-size=256 --max-semi-space-size=2';
/** Between two looks at descriptors, how many in a row have to be alike, and how many there are at most. */
const LOOK_MS = 250;
const SAME_LOOKS = 8;
const LOOKS_MAX = 120;

/** Runs the whole stack under load, and says what was seen. */
export async function soak(options: SoakOptions): Promise<Outcome> {
  const { minutes, connections, load, stopped, say = () => {} } = options;
  await using parts = new AsyncDisposableStack();
  const world = bytesServer().listen(0, '127.0.0.1');
  parts.defer(() => world.closeAllConnections());
  parts.defer(() => void world.close());
  await once(world, 'listening');
  const sockets = join(options.folder, 'metrics');
  mkdirSync(sockets, { recursive: true });
  parts.defer(() => rm(sockets, { recursive: true }));
  const frame = parts.use(new Frame());
  await frame.open({
    proxies: 1,
    // As V8 decides by itself in an enclave of 512 MB
    prefix: (process) => (process === 'odyn' ? ['env', `NODE_OPTIONS=${ODYN_HEAP}`] : []),
    env: (name) => ({ ENCLAVER_HTTP: `unix:${sockets}/${name}`, ...SERVICE_ENV }),
  });
  const inside = await frame.add({
    app: async ({ port, proxyPort }, root) => {
      const words = await nodeRoot(root, join(import.meta.dirname, 'app.ts'), join(import.meta.dirname, 'bytes.ts'));
      return { argv: [...words, ...[port, proxyPort, (world.address() as AddressInfo).port].map(String)] };
    },
  });
  const watched = [
    new Watched('nats-server', frame.nats.pid),
    ...[...frame.proxies, frame.relay].map(({ name, pid }) => new Watched(name, pid, join(sockets, name))),
    new Watched('odyn', inside.enclave.pid),
    ...Object.entries(options.beside ?? {}).map(([name, pid]) => new Watched(name, pid)),
  ];
  const lines = new NumberedLines(frame.bus, inside.record.id);
  const random = randomFrom(options.seed);
  const trial = new Traffic(inside.port, random);
  parts.defer(() => trial.close());
  await capacity(trial, WARM_MS);
  const bears = await capacity(trial, CAPACITY_MS);
  assert.deepEqual([...trial.failures], []);
  const quiet = async (traffic: Traffic): Promise<number[]> => {
    await traffic.endKept();
    world.closeIdleConnections();
    return await settled(watched);
  };
  const descriptorsBefore = await quiet(trial);
  const perSecond = bears * load;
  say(`the stack bears ${Math.round(bears)} requests a second here; it gets ${Math.round(perSecond)}`);

  const csv = join(options.folder, 'samples.csv');
  writeFileSync(csv, `${SAMPLE_HEADER}\n`);
  const traffic = new Traffic(inside.port, random);
  parts.defer(() => traffic.close());
  const givenUpBefore = givenUpForMemory();
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1000;
  const everyS = Math.min((minutes * 60) / SAMPLES, SAMPLE_S_MAX);
  const isOver = (): boolean =>
    stopped?.aborted === true || (seconds() >= minutes * 60 && traffic.connections >= connections);
  const sampling = (async () => {
    for (let next = 0; !isOver(); next += everyS) {
      await sleep(Math.max(0, next - seconds()) * 1000, undefined, { signal: stopped }).catch(() => {});
      for (const one of watched) appendFileSync(csv, sampleRow(one.name, await one.take(seconds()), traffic));
      say(`${Math.round(seconds())} s: ${traffic.connections} connections, ${traffic.failed} failed`);
    }
  })();
  const leftOut = await steadily(traffic, perSecond, isOver);
  const took = seconds();
  await sampling;
  const written = await traffic.lines();
  await lines.until(written);
  const descriptorsAfter = await quiet(traffic);
  return {
    options,
    seconds: took,
    bears,
    leftOut,
    traffic,
    givenUpForMemory: givenUpForMemory() - givenUpBefore,
    lines: { written, ...lines.seen },
    processes: watched.map(({ name, samples }, index) => ({
      name,
      samples,
      descriptors: { before: descriptorsBefore[index] as number, after: descriptorsAfter[index] as number },
    })),
  };
}

/** Descriptors, as soon as they are the same for some time. */
async function settled(watched: readonly Watched[]): Promise<number[]> {
  let last: number[] = [];
  for (let same = 0, looks = 0; same < SAME_LOOKS && looks < LOOKS_MAX; looks++) {
    await sleep(LOOK_MS);
    const now = await Promise.all(watched.map((one) => one.descriptors()));
    same = now.join() === last.join() ? same + 1 : 0;
    last = now;
  }
  return last;
}
