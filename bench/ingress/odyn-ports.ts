// Plain ingress ports of odyn: `node odyn-ports.ts VSOCK_PATH PORT…`. Says "ready". The app is at 127.0.0.1:PORT.
import { parseManifest } from '@enclaver/manifest';
import { Relay, unixTransport } from '@enclaver/vsock';
import { PlainPort } from '../../odyn/src/ingress/plain-port.ts';

const [path = '', ...ports] = process.argv.slice(2);
const manifest = parseManifest(
  `version: v1\nname: bench\ntarget: t:e\nsources: { app: t:1 }\ningress: [${ports.map((port) => `{ listen_port: ${port} }`)}]\n`,
);
const relay = new Relay();
for (const entry of manifest.ingress) await PlainPort.open(unixTransport({ path }), relay, entry);
process.stdout.write('ready\n');
