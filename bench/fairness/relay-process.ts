/** Four routes, as of four enclaves: `node relay-process.ts FIRST_PORT FOLDER GROUPS`. Says "ready". */
import { join } from 'node:path';
import { Relay } from '@enclaver/vsock';

const [firstPort = '', folder = '', groups = ''] = process.argv.slice(2);
const relay = new Relay();
const bounds = { maxConnections: 20_000, connectTimeoutMs: 5000, idleTimeoutMs: 0 };
for (let index = 0; index < 4; index++) {
  const group = groups === 'true' ? relay.group({ maxConnections: 20_000 }) : undefined;
  await relay.listen(
    { type: 'tcp', host: '127.0.0.1', port: Number(firstPort) + index },
    { type: 'unix', path: join(folder, `server-${index}`) },
    { ...bounds, ...(group ? { group } : {}) },
  );
}
process.stdout.write('ready\n');
