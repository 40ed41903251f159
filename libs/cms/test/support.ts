import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CmsError, type CmsErrorCode } from '../src/index.ts';

export async function readVectors<Vectors>(name: string): Promise<Vectors> {
  return JSON.parse(await readFile(new URL(`./vectors/${name}`, import.meta.url), 'utf8')) as Vectors;
}

export interface SyntheticCase {
  name: string;
  ciphertext_for_recipient_b64: string;
  expect: 'plaintext' | 'error';
  plaintext_hex: string | null;
}

export interface Synthetic {
  private_key_pkcs8_pem: string;
  public_key_spki_b64: string;
  cases: SyntheticCase[];
}

export const synthetic = await readVectors<Synthetic>('synthetic.json');
export const privateKey: KeyObject = createPrivateKey(synthetic.private_key_pkcs8_pem);
export const publicKeySpki = Buffer.from(synthetic.public_key_spki_b64, 'base64');
export const recipientId = (spki: Uint8Array): Buffer => createHash('sha256').update(spki).digest();
export const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });

export function caseNamed(name: string): SyntheticCase & { ber: Buffer } {
  const found = synthetic.cases.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no case ${name}`);
  return { ...found, ber: Buffer.from(found.ciphertext_for_recipient_b64, 'base64') };
}

/** Runs what must fail, and gives the code it fails with. */
export async function codeOf(run: () => unknown): Promise<CmsErrorCode> {
  try {
    await run();
  } catch (error) {
    if (error instanceof CmsError) return error.code;
    throw error;
  }
  throw new Error('it did not fail');
}
