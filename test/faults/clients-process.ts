/**
 * Clients as a process of their own: `node clients-process.ts HOST PORT SHA256 COUNT` fetches over and over until stdin ends, and writes
 * a line for each request: empty, or what was wrong with the answer.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { sha256 } from './clients.ts';

/** What hangs that long has failed. */
const REQUEST_MS = 20_000;
/** After a failure: where nobody listens the next one would be at once. */
const RETRY_MS = 20;

const [host = '', port = '', expected = '', count = ''] = process.argv.slice(2);
let stopped = false;
process.stdin.resume().once('end', () => {
  stopped = true;
});

await Promise.all(
  Array.from({ length: Number(count) }, async () => {
    while (!stopped) {
      const failure = await ask();
      process.stdout.write(`${failure}\n`);
      if (failure !== '') await sleep(RETRY_MS);
    }
  }),
);

/** What is wrong with the answer. */
async function ask(): Promise<string> {
  const begun = performance.now();
  const socket = connect(Number(port), host);
  socket.setTimeout(REQUEST_MS, () => socket.destroy(new Error('no answer')));
  socket.write('GET /blob HTTP/1.0\r\n\r\n');
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of socket) chunks.push(chunk);
  } catch (error) {
    return (error as Error).message;
  }
  const answer = Buffer.concat(chunks);
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  if (sha256(body) === expected) return '';
  // An end that came early is a failure that a client notices by the length; other bytes would be a fault
  const length = Number(/content-length: (\d+)/i.exec(answer.toString('latin1', 0, 500))?.[1]);
  const ms = Math.round(performance.now() - begun);
  return body.length < length || answer.length === 0
    ? `cut short ${ms} ms (${body.length} of ${length})`
    : `wrong bytes (${body.length} of ${length})`;
}
