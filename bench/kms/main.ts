// Attested Decrypt calls per second through the KMS proxy, beside what bounds them, RSA-2048: `node bench/kms/main.ts [rounds]`.
// The app's side, odyn's and KMS's are processes of their own on the same machine. Prints a table in Markdown to stdout.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants, generateKeyPairSync, publicEncrypt, webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { SignatureV4 } from '@smithy/signature-v4';
import { signerFor } from '../../odyn/src/kms/signer.ts';
import { NODE } from '../harness/pinned.ts';
import { publish, roundsOf } from '../results.ts';
import { summarize } from '../statistics.ts';

/** Of each load in each round. */
const SECONDS = 3;
const CONNECTIONS = [1, 8, 32];
const rounds = roundsOf(process.argv[2], 5);

/** Seconds of CPU of a process and of its event loop; bytes. */
interface Usage {
  all: number;
  loop: number;
  rss: number;
}

class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;

  constructor(file: string, ...args: string[]) {
    const [node, ...flags] = NODE;
    const program = join(import.meta.dirname, file);
    this.#process = spawn(node, [...flags, program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface(this.#process.stdout);
  }

  async line(): Promise<string> {
    const [line] = (await once(this.#lines, 'line')) as [string];
    return line;
  }

  async usage(): Promise<Usage> {
    this.#process.stdin.write('\n');
    return JSON.parse(await this.line()) as Usage;
  }

  stop(): void {
    this.#process.kill('SIGTERM');
  }
}

/** Private operations with the threads that Node has for them, as many at a time as they like. */
async function measureRsa(): Promise<{ perSecond: number; cpuMs: number }> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  const sealed = publicEncrypt({ key: publicKey, ...padding }, Buffer.alloc(32));
  const key = privateKey.toCryptoKey({ name: 'RSA-OAEP', hash: 'SHA-256' }, false, ['decrypt']);
  const begun = performance.now();
  const end = begun + SECONDS * 1000;
  const before = process.cpuUsage();
  let done = 0;
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      await webcrypto.subtle.decrypt({ name: 'RSA-OAEP' }, key, sealed);
      done++;
    }
  };
  await Promise.all(Array.from({ length: 32 }, one));
  const { user, system } = process.cpuUsage(before);
  // The last ones end after the time
  return { perSecond: (done / (performance.now() - begun)) * 1000, cpuMs: (user + system) / 1000 / done };
}

/** A Decrypt as an SDK sends it; the same bytes are good for five minutes. */
async function requestFor(
  port: number,
  credentials: { accessKeyId: string; secretAccessKey: string },
): Promise<Buffer> {
  const body = JSON.stringify({ CiphertextBlob: Buffer.alloc(200, 1).toString('base64') });
  const signer: SignatureV4 = signerFor(credentials, 'us-east-1');
  const host = `127.0.0.1:${port}`;
  const type = 'application/x-amz-json-1.1';
  const { headers } = await signer.sign({
    protocol: 'http:',
    hostname: host,
    method: 'POST',
    path: '/',
    headers: { host, 'content-type': type, 'x-amz-target': 'TrentService.Decrypt', 'user-agent': 'bench' },
    body,
  });
  const lines = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.from(`POST / HTTP/1.1\r\n${head}\r\n${body}`);
}

/** Calls in a given time, each connection sending the next when it has its answer. */
async function callFor(ms: number, port: number, request: Buffer, connections: number): Promise<number> {
  const end = performance.now() + ms;
  let done = 0;
  const client = async (): Promise<void> => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let answer = '';
    const finished = once(socket, 'close');
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
      const headEnd = answer.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(answer)?.[1]);
      if (headEnd < 0 || answer.length < headEnd + 4 + length) return;
      if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(answer);
      done++;
      answer = '';
      if (performance.now() < end) socket.write(request);
      else socket.destroy();
    });
    socket.write(request);
    await finished;
  };
  await Promise.all(Array.from({ length: connections }, client));
  return done;
}

const folder = mkdtempSync(join(tmpdir(), 'enclaver-bench-kms-'));
const outside = new Child('outside.ts');
const inside = new Child('inside.ts', await outside.line(), folder);
try {
  const { port, credentials } = JSON.parse(await inside.line()) as {
    port: number;
    credentials: { accessKeyId: string; secretAccessKey: string };
  };
  const request = await requestFor(port, credentials);
  await callFor(2_000, port, request, 8);
  const rsa: Awaited<ReturnType<typeof measureRsa>>[] = [];
  const loads = CONNECTIONS.map((connections) => ({
    connections,
    rates: [] as number[],
    cpu: 0,
    loop: 0,
    calls: 0,
    rss: 0,
  }));
  for (let round = 1; round <= rounds; round++) {
    rsa.push(await measureRsa());
    for (const load of loads) {
      const before = await inside.usage();
      const begun = performance.now();
      const calls = await callFor(SECONDS * 1000, port, request, load.connections);
      const seconds = (performance.now() - begun) / 1000;
      const after = await inside.usage();
      load.rates.push(calls / seconds);
      load.calls += calls;
      load.cpu += after.all - before.all;
      load.loop += after.loop - before.loop;
      load.rss = after.rss;
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  const bound = rsa.map(({ perSecond }) => perSecond);
  publish(
    loads.map(({ connections, rates }) => ({
      metric: `attested Decrypt, ${connections} connections`,
      unit: '1/s',
      better: 'more',
      samples: { ours: rates, 'RSA-2048 private operations': bound },
      ...(connections > 1 && { goal: { ratio: 0.7 } }),
    })),
  );
  const rsaRate = summarize(bound).median;
  const rsaCpu = summarize(rsa.map(({ cpuMs }) => cpuMs)).median;
  console.log(
    `${availableParallelism()} CPUs; RSA-2048 private operations: ${rsaRate.toFixed(0)}/s, ${rsaCpu.toFixed(2)} ms of CPU each\n`,
  );
  console.log(
    '| Connections | Calls/s | of the RSA rate | CPU of odyn for a call | of it on the event loop | resident |',
  );
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const { connections, rates, cpu, loop, calls, rss } of loads) {
    const perSecond = summarize(rates).median;
    const ms = [cpu, loop].map((seconds) => `${((seconds / calls) * 1000).toFixed(2)} ms`);
    const cells = [connections, perSecond.toFixed(0), (perSecond / rsaRate).toFixed(2), ...ms];
    console.log(`| ${cells.join(' | ')} | ${(rss / 2 ** 20).toFixed(0)} MiB |`);
  }
} finally {
  inside.stop();
  outside.stop();
  rmSync(folder, { recursive: true });
}
