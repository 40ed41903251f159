import { Bus } from '@enclaver/bus';

/** Holds a lease until it is killed.   hold-lease.ts <credentials> <folder> */
const [credentials = '', folder = ''] = process.argv.slice(2);

const bus = await Bus.connect({ source: 'test', credentials });
await bus.lease('elsewhere', { leaseMs: 600_000, folder, onLost: () => process.exit(1) });
process.stdout.write('held\n');
