/**
 * odyn's egress as a process of its own, for the benchmark: `node egress-process.ts PROXY_PORT SOCKET`, where at the
 * Unix socket, in the place of a vsock, the outer-proxy listens (`services/outer-proxy/test/egress-process.ts`).
 */
import { connectStream, Relay, type VsockTransport } from '@enclaver/vsock';
import { Egress } from '../src/egress/egress.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';

const [portText = '', path = ''] = process.argv.slice(2);
const transport = { connect: (_port, options) => connectStream({ type: 'unix', path }, options) } as VsockTransport;
const rules = { proxyPort: Number(portText), allow: ['127.0.0.0/8'], deny: [] };
await Egress.open(transport, new Relay(), rules, new OdynLog(new LogRing(1 << 20)), { redirectPath: '' });
process.stdout.write('ready\n');
