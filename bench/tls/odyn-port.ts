// One ingress port of odyn with TLS: `node odyn-port.ts PORT VSOCK_PATH ROOT`. Says "ready". The app is at 127.0.0.1:PORT.
import { parseManifest } from '@enclaver/manifest';
import { unixTransport } from '@enclaver/vsock';
import { TlsPort } from '../../odyn/src/ingress/tls-port.ts';
import { limits } from '../../odyn/src/limits.ts';
import { LogRing } from '../../odyn/src/logs/log-ring.ts';
import { OdynLog } from '../../odyn/src/logs/odyn-log.ts';

const [portText, path, root] = process.argv.slice(2) as [string, string, string];
const port = Number(portText);
const manifest = parseManifest(
  `version: v1\nname: bench\ntarget: t:e\nsources: { app: t:1 }\n` +
    `ingress: [{ listen_port: ${port}, tls: { key_file: /key.pem, cert_file: /cert.pem } }]\n`,
);
const [entry] = manifest.ingress;
if (entry?.tls === undefined) throw new Error('the manifest of this benchmark has no TLS');
const transport = unixTransport({ path });
const log = new OdynLog(new LogRing(limits.logRingBytes));
await TlsPort.open(transport, entry, entry.tls, { port, root, manifest, transport, log }, limits.tlsConnections);
process.stdout.write('ready\n');
