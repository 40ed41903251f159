import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SignerError, type SignerErrorCode } from '../src/index.ts';

const run = promisify(execFile);

/** A fresh folder for one test, removed when the scope ends. */
export async function tempFolder(): Promise<AsyncDisposable & { file(name: string): string }> {
  const path = await mkdtemp(join(tmpdir(), 'signer-test-'));
  return {
    file: (name) => join(path, name),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

export function refusal(code: SignerErrorCode, text = /./): (error: unknown) => true {
  return (error) => {
    if (!(error instanceof SignerError)) throw error;
    if (error.code !== code || !text.test(error.message)) throw new Error(`unexpected ${error.code}: ${error.message}`);
    return true;
  };
}

/** What `openssl` makes on the way that docs/signing.md shows: a key, and a certificate for it. */
export async function makePair(folder: { file(name: string): string }, curve: string, name = ''): Promise<void> {
  const [key, certificate] = [folder.file(`${name}key.pem`), folder.file(`${name}cert.pem`)];
  await run('openssl', ['ecparam', '-name', curve, '-genkey', '-noout', '-out', key]);
  await run('openssl', ['req', '-new', '-x509', '-key', key, '-days', '365', '-subj', '/CN=test', '-out', certificate]);
}

/** A certificate for a key of which only the public half is known, issued by a key that is then forgotten. */
export async function certify(folder: { file(name: string): string }, publicKey: KeyObject): Promise<Buffer> {
  await makePair(folder, 'secp384r1', 'issuer-');
  await writeFile(folder.file('public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  const issuer = ['-CA', folder.file('issuer-cert.pem'), '-CAkey', folder.file('issuer-key.pem')];
  const subject = ['-new', '-force_pubkey', folder.file('public.pem'), '-subj', '/CN=kms'];
  await run('openssl', ['x509', ...subject, ...issuer, '-days', '365', '-out', folder.file('cert.pem')]);
  return readFile(folder.file('cert.pem'));
}

/** Sets variables of the environment for the time of a scope. */
export function environment(changes: Record<string, string | undefined>): Disposable {
  const before = Object.fromEntries(Object.keys(changes).map((name) => [name, process.env[name]]));
  const set = (values: Record<string, string | undefined>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  set(changes);
  return { [Symbol.dispose]: () => set(before) };
}
