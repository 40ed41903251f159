import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Manifest } from '@enclaver/manifest';
import { limits } from '../limits.ts';

type Check = NonNullable<Manifest['health']>['check'];

/** Looks at the app once. @returns why it is not well, undefined when it is */
export type Probe = (signal: AbortSignal) => Promise<string | undefined>;

/** The probe of a manifest; what is not back within `timeoutMs` has failed. */
export function probeOf(check: Check, timeoutMs: number): Probe {
  const look = check.type === 'tcp' ? tcpProbe(check.port) : httpProbe(check);
  return async (signal) => {
    const late = AbortSignal.timeout(timeoutMs);
    try {
      return await look(AbortSignal.any([signal, late]));
    } catch (error) {
      const reason = late.aborted ? `no answer within ${timeoutMs} ms` : (error as Error).message;
      return `port ${check.port}: ${reason}`;
    }
  };
}

function tcpProbe(port: number): Probe {
  return async (signal) => {
    const socket = connect({ port, host: '127.0.0.1', signal });
    try {
      await once(socket, 'connect');
      socket.end();
      return undefined;
    } finally {
      socket.destroySoon();
    }
  };
}

function httpProbe({ port, path, status }: Extract<Check, { type: 'http' }>): Probe {
  return async (signal) => {
    // Node's HTTP costs memory: enclaves without it do not load it
    const { request } = await import('node:http');
    const asked = request({
      host: '127.0.0.1',
      port,
      path,
      headers: { Host: `localhost:${port}`, 'User-Agent': 'enclaver-health', Connection: 'close' },
      agent: false,
      signal,
    });
    // After the answer, too: an app may close as it likes
    asked.on('error', () => {});
    asked.end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    discard(response);
    const { statusCode = 0 } = response;
    const well = status === undefined ? statusCode >= 200 && statusCode < 400 : statusCode === status;
    if (well) return undefined;
    return `port ${port}: GET ${path} gives ${statusCode}; expected is ${status ?? '200 to 399'}`;
  };
}

/** Servers log a client that leaves before the body is out; one that does not end is left all the same. */
function discard(response: IncomingMessage): void {
  let size = 0;
  response.on('error', () => {});
  response.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > limits.healthBodyBytes) response.destroy();
  });
}
