// Requests to a service and events to a hundred subscribers over the bus, beside a bare NATS client that sends the same bytes to
// the same server: `node bench/bus/main.ts [rounds]`. Rounds alternate. Prints a table in Markdown, with ratios, to stdout.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Bus } from '@enclaver/bus';
import { connect, type NatsConnection } from 'nats';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';
import { record } from '../../libs/bus/test/record.ts';
import { summaryTable } from '../harness/table.ts';
import { publish, type Result, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';
import { RAW_SUBJECT } from './credentials.ts';

const SEQUENTIAL = 2_000;
const AT_ONCE = 32;
const TOTAL = 8_000;
const SUBSCRIBERS = 100;
const EVENTS = 400;

type Who = 'ours' | 'bare client';
type Samples = Record<Who, number[]>;

const rounds = roundsOf(process.argv[2], 5);
const children = new Set<ChildProcessByStdio<null, Readable, null>>();

/** Waits until it is ready. */
async function start(file: string, ...args: string[]): Promise<Interface> {
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  const lines = createInterface(child.stdout);
  await once(lines, 'line');
  return lines;
}

/** Median time of one request after the other, µs. */
async function roundTrip(ask: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < SEQUENTIAL; n++) {
    const begun = performance.now();
    await ask();
    times.push((performance.now() - begun) * 1000);
  }
  return summarize(times).median;
}

/** Requests a second, so many under way. */
async function rate(ask: () => Promise<unknown>): Promise<number> {
  let left = TOTAL;
  const client = async (): Promise<void> => {
    while (left-- > 0) await ask();
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  return TOTAL / ((performance.now() - begun) / 1000);
}

/** Deliveries a second, from the first event to the last one at the last subscriber. */
async function fanOut(subscribers: Interface, tell: () => Promise<unknown>): Promise<number> {
  const all = once(subscribers, 'line');
  const begun = performance.now();
  for (let n = 0; n < EVENTS; n++) await tell();
  await all;
  return (EVENTS * SUBSCRIBERS) / ((performance.now() - begun) / 1000);
}

/** What is published under a subject. */
async function bytesOf(connection: NatsConnection, subject: string, tell: () => Promise<void>): Promise<Uint8Array> {
  const subscription = connection.subscribe(subject, { max: 1 });
  await connection.flush();
  await tell();
  for await (const { data } of subscription) return data;
  throw new Error(`nothing came under ${subject}`);
}

const server = await NatsProcess.start();
try {
  const credentials = JSON.stringify(server.credentials);
  await start('responder.ts', credentials);
  const bus = await Bus.connect({ source: 'bench', credentials: server.credentials });
  const { url, user, password } = server.credentials;
  const bare = await connect({ servers: url, user, pass: password });
  const jetStream = bare.jetstream();
  const payload = Buffer.from(JSON.stringify({ data: { enclave: record } }));
  const publishEvent = (): Promise<void> => bus.publishEvent(record.id, 'ready', { ingress: [] });
  const event = await bytesOf(bare, 'enclaver.v1.enclave.>', publishEvent);
  const asks = {
    ours: () => bus.request('supervisor', 'describe', { id: record.id }),
    'bare client': async () => JSON.parse((await bare.request(RAW_SUBJECT, payload)).string()),
  };
  const tells = {
    ours: publishEvent,
    'bare client': () => jetStream.publish(`enclaver.v1.enclave.${record.id}.bench`, event),
  };
  const trip: Samples = { ours: [], 'bare client': [] };
  const busy: Samples = { ours: [], 'bare client': [] };
  const fan: Samples = { ours: [], 'bare client': [] };
  const whos: readonly Who[] = ['ours', 'bare client'];
  for (const who of whos) await rate(asks[who]);
  for (let round = 1; round <= rounds; round++) {
    for (const who of whos) trip[who].push(await roundTrip(asks[who]));
    for (const who of whos) busy[who].push(await rate(asks[who]));
    for (const who of whos) {
      const before = new Set(children);
      const words = [who === 'ours' ? 'ours' : 'raw', String(SUBSCRIBERS), String(EVENTS)];
      const subscribers = await start('subscribers.ts', credentials, ...words);
      // The first ones are for the compiler
      await fanOut(subscribers, tells[who]);
      fan[who].push(await fanOut(subscribers, tells[who]));
      for (const child of children) {
        if (before.has(child)) continue;
        child.kill();
        await once(child, 'exit');
        children.delete(child);
      }
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  const goal = { ratio: 0.83 };
  const results: Result[] = [
    { metric: 'request and answer, one at a time', unit: 'µs', better: 'less', samples: trip, goal },
    { metric: `requests, ${AT_ONCE} under way`, unit: '1/s', better: 'more', samples: busy, goal },
    { metric: `an event to ${SUBSCRIBERS} subscribers`, unit: 'deliveries/s', better: 'more', samples: fan, goal },
  ];
  publish(results);
  process.stdout.write(`${summaryTable(new Map([['bus', results]]))}\n`);
  await bus.close();
  await bare.drain();
} finally {
  for (const child of children) child.kill();
  await server[Symbol.asyncDispose]();
}
