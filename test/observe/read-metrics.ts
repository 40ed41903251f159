import { once } from 'node:events';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';

/** What a service says at its Unix socket: the samples of `/metrics`, by name and labels as they are written there. */
export async function readMetrics(socketPath: string): Promise<Map<string, number>> {
  const [response] = await once(get({ socketPath, path: '/metrics' }), 'response');
  const lines = (await text(response)).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}
