// odyn's KMS proxy alone, for main.ts, with a simulated NSM. The argument is what outside.ts has printed, and a folder.
// Prints where it listens and the pair to sign with; then the CPU time of this process for each line of its stdin.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Nsm } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator } from '@enclaver/attestation/simulator';
import { parseManifest } from '@enclaver/manifest';
import { unixTransport } from '@enclaver/vsock';
import { Kms } from '../../odyn/src/kms/kms.ts';
import { LogRing } from '../../odyn/src/logs/log-ring.ts';
import { OdynLog } from '../../odyn/src/logs/odyn-log.ts';
import { freePort } from '../../test/stack/free-port.ts';

const [outside = '', folder = ''] = process.argv.slice(2);
const { path, kmsPort, ca } = JSON.parse(outside) as { path: string; kmsPort: number; ca: string };
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'ca.pem'), ca);
const port = await freePort();
const measurements = { PCR0: 'a'.repeat(96), PCR1: 'b'.repeat(96), PCR2: 'c'.repeat(96) };
const kms = await Kms.open({
  transport: unixTransport({ path }),
  nsm: new Nsm(new NsmSimulator({ root: DevelopmentRoot.create(), measurements }).request),
  env: {},
  manifest: parseManifest(
    'version: v1\nname: bench\ntarget: b:e\nsources: { app: b:1 }\n' +
      `kms_proxy: { listen_port: ${port}, endpoints: { us-east-1: "host:${kmsPort}" }, ca_file: /ca.pem }\n`,
  ),
  root: folder,
  log: new OdynLog(new LogRing(1 << 18)),
});
console.log(JSON.stringify({ port, credentials: kms.forApp('/')?.credentials }));
process.once('SIGTERM', () => process.exit(0));
createInterface(process.stdin).on('line', () => {
  const [all, loop] = [process.cpuUsage(), process.threadCpuUsage()].map(({ user, system }) => (user + system) / 1e6);
  console.log(JSON.stringify({ all, loop, rss: process.memoryUsage.rss() }));
});
