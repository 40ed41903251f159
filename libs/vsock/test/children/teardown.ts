// Workers with listeners, open streams and a relay under traffic are terminated; then the process itself exits so.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Relay, unixTransport } from '../../src/index.ts';

async function traffic(base: string): Promise<void> {
  const transport = unixTransport({ path: base });
  await transport.listen(1, (stream) => stream.pipe(stream).on('error', () => stream.destroy()));
  const relay = new Relay({ threads: 2 });
  const bounds = { maxConnections: 100, connectTimeoutMs: 1000, idleTimeoutMs: 60_000 };
  for (const port of [2, 3])
    await relay.listen(
      { type: 'unix', path: `${base}_${port}` },
      { type: 'unix', path: `${base}_${port - 1}` },
      bounds,
    );
  const { connect } = await import('node:net');
  for (let i = 0; i < 8; i++) {
    const socket = connect(`${base}_3`).on('error', () => socket.destroy());
    socket.on('data', (data) => socket.write(data));
    socket.write(Buffer.alloc(100_000));
  }
  void relay.join(
    { connect: transport.endpoint(9), timeoutMs: 60_000 },
    { connect: { type: 'unix', path: `${base}_3` }, timeoutMs: 1 },
  );
}

if (isMainThread) {
  const folder = process.argv[2] as string;
  for (let i = 0; i < 6; i++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: join(folder, `w${i}`) });
    await new Promise((resolve) => worker.once('message', resolve));
    await sleep(20 * (i % 3));
    await worker.terminate();
  }
  await traffic(join(folder, 'main'));
  await sleep(50);
  process.stdout.write('leaving\n');
  process.exit(7);
} else {
  const { parentPort } = await import('node:worker_threads');
  await traffic(workerData as string);
  parentPort?.postMessage('up');
}
