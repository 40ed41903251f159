/**
 * Whether the service of this environment works: `node libs/telemetry/src/healthy.ts`, for health checks of containers. Asks
 * the last address of `ENCLAVER_HTTP` for `/readyz`, which is the Unix socket where there is one: unlike a port of a shared network,
 * that is certainly this service's own. Exit status 0 when it works, else 1 and what is missing on stdout.
 */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { parseHttpAddresses } from './http-address.ts';
import { limits } from './limits.ts';

const address = parseHttpAddresses(process.env.ENCLAVER_HTTP ?? '')?.at(-1);
if (address === undefined) {
  process.stdout.write('ENCLAVER_HTTP is not set, or no address: docs/observe.md\n');
  process.exit(1);
}
setTimeout(() => {
  process.stdout.write('no answer\n');
  process.exit(1);
}, limits.httpConnectionMs).unref();

// By hand: Node's HTTP would be most of the cost of this process
const socket = connect(address);
socket.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
try {
  const answer = await text(socket);
  process.stdout.write(answer.slice(answer.indexOf('\r\n\r\n') + 4));
  process.exitCode = answer.startsWith('HTTP/1.1 200 ') ? 0 : 1;
} catch (error) {
  process.stdout.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
