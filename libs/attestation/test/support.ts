import { readFileSync } from 'node:fs';
import { AttestationError, type AttestationErrorCode, type AttestationFailure } from '../src/index.ts';

const vectors = new URL('./vectors/', import.meta.url);

export function readVector(name: string): string {
  return readFileSync(new URL(name, vectors), 'utf8');
}

export interface RealDocument {
  file: string;
  bytes: number;
  sha256: string;
  protected_hex: string;
  payload_bytes: number;
  module_id: string;
  digest: string;
  timestamp_ms: number;
  timestamp_utc: string;
  pcrs_nonzero: Record<string, string>;
  pcrs_zero: number[];
  public_key: { state: string; length?: number; sha256?: string };
  user_data: { state: string; length?: number; sha256?: string };
  nonce: { state: string; length?: number; sha256?: string };
  chain: { sha256: string; bytes: number }[];
  valid_from: string;
  valid_until: string;
}

/** Documents that Nitro hardware made, by name, with what they hold. */
export const realDocuments = Object.entries(
  JSON.parse(readVector('real/expected.json')) as Record<string, RealDocument>,
).filter(([name]) => name !== 'blocky-selfsigned');

export function documentBytes(file: string): Uint8Array {
  return new Uint8Array(Buffer.from(readVector(`real/${file}`), 'base64'));
}

export const selfSigned = documentBytes('blocky-selfsigned.b64');

/** One that is not in debug mode, and an instant at which it is valid. */
export const genuine = documentBytes('dstack-2025-12-prod.b64');
export const genuineAt = new Date('2025-12-25T17:00:00Z');

/** The error of a call that must fail with an AttestationError and nothing else. */
export async function failureOf(action: () => unknown): Promise<AttestationError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof AttestationError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

export async function codeOf(action: () => unknown): Promise<AttestationErrorCode> {
  return (await failureOf(action)).code;
}

export const codes = (failures: readonly AttestationFailure[]): string[] => failures.map(({ code }) => code);
