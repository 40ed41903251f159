import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { publicKey } from '@enclaver/provenance';
import { writeOciLayout } from '../images/image.ts';
import { tar } from '../images/tar.ts';

const PASSWORD = 'test-only-password';

/** Runs a program and gives its stdout; fails with its stderr. */
export async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const options = { env: { ...process.env, COSIGN_PASSWORD: PASSWORD, ...env }, maxBuffer: 64 << 20 };
  return (await promisify(execFile)(program, [...args], options)).stdout;
}

/** Runs code with the password of test keys where cosign looks for it. */
export async function withPassword<T>(action: () => Promise<T>): Promise<T> {
  const before = process.env.COSIGN_PASSWORD;
  process.env.COSIGN_PASSWORD = PASSWORD;
  try {
    return await action();
  } finally {
    if (before === undefined) delete process.env.COSIGN_PASSWORD;
    else process.env.COSIGN_PASSWORD = before;
  }
}

export interface CosignKey {
  /** Path of the encrypted private key. */
  key: string;
  /** Path of the public key. */
  pub: string;
  public: KeyObject;
}

export async function cosignKey(folder: string, name: string): Promise<CosignKey> {
  const prefix = join(folder, name);
  await run('cosign', ['generate-key-pair', `--output-key-prefix=${prefix}`]);
  return { key: `${prefix}.key`, pub: `${prefix}.pub`, public: publicKey(await readFile(`${prefix}.pub`)) };
}

/** Pushes an image with a file at /enclave/application.eif; gives `repository@sha256:…`. */
export async function pushImage(folder: string, host: string, name: string, eif: Buffer): Promise<string> {
  const layout = join(folder, 'layout');
  const layer = tar([{ name: 'enclave/' }, { name: 'enclave/application.eif', content: eif }]);
  await writeOciLayout(layout, [{ image: { layers: [layer], config: { Cmd: ['/x'] } }, name: 'it' }]);
  const digestFile = join(folder, 'digest');
  const to = `docker://${host}/${name}`;
  await run('skopeo', ['copy', '-q', '--dest-tls-verify=false', `--digestfile=${digestFile}`, `oci:${layout}:it`, to]);
  return `${host}/${name.replace(/:.*/, '')}@${(await readFile(digestFile, 'utf8')).trim()}`;
}
