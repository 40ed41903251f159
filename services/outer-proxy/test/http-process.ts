/** The outer-proxy's two ways in as a process of its own, for the benchmark: `node http-process.ts http|tcp PORT SERVER_PORT`. */
import { connectStream, type Endpoint, Relay, type VsockTransport } from '@enclaver/vsock';
import { pino } from 'pino';
import { HttpPorts } from '../src/http/http-ports.ts';
import { Share } from '../src/http/share.ts';
import { limits } from '../src/limits.ts';
import { recordOf } from './http-harness.ts';

const [mode, port, serverPort] = process.argv.slice(2);
const relay = new Relay();
const server: Endpoint = { type: 'tcp', host: '127.0.0.1', port: Number(serverPort) };
/** TCP in the place of the vsock, as the peers have it. */
const transport: VsockTransport = {
  connect: (_port, options) => connectStream(server, options),
  endpoint: () => server,
  listen: () => Promise.reject(new Error('this end only dials')),
  listenSockets: () => Promise.reject(new Error('this end only dials')),
  listenAddress: () => ({ type: 'vsock', port: 1 }),
};
if (mode === 'tcp') {
  await relay.listen({ type: 'tcp', host: '127.0.0.1', port: Number(port) }, server, {
    maxConnections: limits.ingressConnections,
    connectTimeoutMs: limits.ingressConnectMs,
    idleTimeoutMs: 0,
  });
} else {
  const asked = { listenPort: 8080, host: '127.0.0.1', port: Number(port), protocol: 'http' as const };
  const record = recordOf('e-00000000000a', 'bench', 'bench', 'ready');
  const group = relay.group({ maxConnections: 100 });
  await new HttpPorts(relay, pino({ level: 'warn' })).open(
    { record, transport, group, share: new Share(group) },
    asked,
    { held: false },
  );
}
process.stdout.write('ready\n');
