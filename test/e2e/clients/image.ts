import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { writeOciLayout } from '../../images/image.ts';
import { strippedNode } from '../../images/node-layer.ts';
import { tar } from '../../images/tar.ts';
import { enclaver, type Running } from '../../stack/enclaver.ts';

/** A call of KMS that each client makes; bytes are base64. `once`: by the first client alone. */
export type Call =
  | { case: string; action: string; region: string; arguments: Record<string, unknown>; once?: true }
  /** A register to extend and lock, by the attestation API. */
  | { seal: number };

/** What a client in the enclave says of one case. */
export interface ClientResult {
  client: string;
  case: string;
  answer?: Record<string, string>;
  error?: string;
  text?: string;
}

const BINARY = ['CiphertextBlob', 'Plaintext', 'PublicKey'];
const checkout = join(import.meta.dirname, '../../..');

/** Builds the image of Debian's and AWS's clients, which carry out `calls` and fetch `urls`, into an EIF. */
export async function buildClients(options: {
  work: string;
  env: NodeJS.ProcessEnv;
  ca: string;
  variables: readonly string[];
  /** Without version, name, target and sources. */
  manifest: string;
  calls: readonly Call[];
  urls: readonly string[];
  /** What the programs of examples/kms decrypt. */
  secret: Buffer;
}): Promise<{ eif: string; measurements: Record<string, string> }> {
  const { work, calls, urls } = options;
  const example = (name: string) => join(checkout, 'examples/kms', name);
  const app = tar([
    { name: 'usr/bin/node', mode: 0o755, content: await strippedNode() },
    { name: 'app/' },
    { name: 'app/clients.py', content: await readFile(join(import.meta.dirname, 'clients.py')) },
    { name: 'app/sdk.cjs', content: await bundle(join(import.meta.dirname, 'sdk.ts'), 'cjs') },
    { name: 'app/decrypt.py', content: await readFile(example('decrypt.py')) },
    { name: 'app/decrypt.mjs', content: await bundle(example('decrypt.mjs'), 'esm') },
    { name: 'app/decrypt.rb', content: await readFile(example('decrypt.rb')) },
    { name: 'srv/secret.bin', content: options.secret },
    { name: 'app/plan.json', content: JSON.stringify({ binary: BINARY, calls, urls }) },
    { name: 'etc/kms-ca.pem', content: options.ca },
    // Python's client asks for the public authorities before it asks for anything else
    { name: 'etc/ssl/certs/ca-certificates.crt', content: options.ca },
    { name: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' },
    { name: 'etc/nsswitch.conf', content: 'hosts: files dns\n' },
  ]);
  const image = {
    layers: [await debianLayer(), app],
    config: { Env: ['PATH=/usr/bin:/bin', ...options.variables], Cmd: ['python3', '/app/clients.py'] },
  };
  await writeOciLayout(join(work, 'image'), [{ image }]);
  const manifest = join(work, 'enclaver.yaml');
  const head = 'version: v1\nname: clients\ntarget: enclaver-test/clients:enclave\nsources:\n  app: oci:image\n';
  await writeFile(manifest, head + options.manifest);
  const eif = join(work, 'clients.eif');
  const built = await enclaver(['build', '-f', manifest, '--eif-only', eif, '-o', 'json'], options.env);
  if (built.code !== 0) throw new Error(`enclaver build ended with ${built.code}:\n${built.stderr}`);
  return { eif, measurements: JSON.parse(built.stdout).Measurements };
}

/** An app and all that it imports as one file. */
async function bundle(entry: string, format: 'cjs' | 'esm'): Promise<Buffer> {
  // What is CommonJS of the SDK asks for Node's own modules with `require`, which modules lack
  const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format,
    minify: true,
    write: false,
    ...(format === 'esm' ? { banner: { js: banner } } : {}),
  });
  return Buffer.from(outputFiles[0]?.contents ?? []);
}

/** The results up to the one named, as the clients print them; fails when the command ends before. */
export async function readResults(
  running: Running,
  last: Pick<ClientResult, 'client' | 'case'>,
): Promise<ClientResult[]> {
  for (;;) {
    const lines = running.stdout.split('\n').slice(0, -1);
    const results = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as ClientResult);
    if (results.some((each) => each.client === last.client && each.case === last.case)) return results;
    if (running.process.exitCode !== null)
      throw new Error(`the clients have ended:\n${running.stdout}${running.stderr}`);
    const { stdout } = running.process;
    if (stdout) await Promise.race([once(stdout, 'data'), running.finished]);
  }
}

/** What `scripts/setup` has made of Debian's packages. */
async function debianLayer(): Promise<Buffer> {
  const { stdout } = await promisify(execFile)(join(checkout, 'scripts/paths'));
  const path = /^ENCLAVER_CLIENTS=(.+)$/m.exec(stdout)?.[1];
  if (path === undefined) throw new Error('scripts/paths names no clients: run scripts/setup');
  return readFile(path);
}
