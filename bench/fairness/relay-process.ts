/**
 * An outer-proxy's part of some enclaves without the bus: for each a group, an ingress port and egress, with the bounds that it has
 * in earnest. `node relay-process.ts FOLDER FIRST_PORT ENCLAVES`. Says "ready", and for each line on
 * standard input the bytes that were moved for each enclave until then, and the seconds that the relay has worked for it.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Relay, type RelayGroup, type RelayRoute, unixTransport } from '@enclaver/vsock';
import { pino } from 'pino';
import { Egress } from '../../services/outer-proxy/src/egress.ts';
import { groupLimits, limits } from '../../services/outer-proxy/src/limits.ts';
import { Lookups } from '../../services/outer-proxy/src/lookups.ts';

const [folder = '', firstPort = '', enclaves = ''] = process.argv.slice(2);
const relay = new Relay();
const lookups = new Lookups();
const logger = pino({ level: 'error' });
const bounds = { maxConnections: limits.ingressConnections, connectTimeoutMs: limits.ingressConnectMs };
const served: { route: RelayRoute; group: RelayGroup }[] = [];
for (let index = 0; index < Number(enclaves); index++) {
  const group = relay.group(groupLimits());
  const route = await relay.listen(
    { type: 'tcp', host: '127.0.0.1', port: Number(firstPort) + index },
    { type: 'unix', path: join(folder, `server-${index}`) },
    { ...bounds, idleTimeoutMs: limits.idleMs, group },
  );
  served.push({ route, group });
  const transport = unixTransport({ path: join(folder, `enclave-${index}`) });
  await Egress.open(relay, { transport, group }, { logger, lookups });
}
process.stdout.write('ready\n');

for await (const _ of createInterface({ input: process.stdin })) {
  process.stdout.write(
    `${JSON.stringify(served.map(({ route, group }) => ({ bytes: route.stats().bytesOut, seconds: group.stats().busySeconds })))}\n`,
  );
}
