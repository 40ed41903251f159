/** The parent's half of egress as a process of its own, for the benchmark: `node egress-process.ts SOCKET`. */
import { Relay, unixTransport } from '@enclaver/vsock';
import { EGRESS_PORT } from '@enclaver/wire';
import { pino } from 'pino';
import { Egress } from '../src/egress.ts';
import { Lookups } from '../src/lookups.ts';

const [path = ''] = process.argv.slice(2);
const relay = new Relay();
const transport = unixTransport({ path: path.replace(`_${EGRESS_PORT}`, '') });
await Egress.open(
  relay,
  { transport, group: relay.group({ maxConnections: 1 }) },
  { logger: pino({ level: 'warn' }), lookups: new Lookups(), limits: { egressPerSecond: 1_000_000 } },
);
process.stdout.write('ready\n');
