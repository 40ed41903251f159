import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

export interface NsmCase {
  kind: 'request' | 'response';
  name: string;
  cbor_hex: string;
  value?: Record<string, unknown>;
}

export interface NsmVectors {
  cases: NsmCase[];
  malformed_answers: Omit<NsmCase, 'kind'>[];
}

export async function nsmVectors(): Promise<NsmVectors> {
  return JSON.parse(await readFile(new URL('./vectors/nsm-cbor.json', import.meta.url), 'utf8'));
}

export function bytesOf(vector: NsmCase | undefined): Buffer {
  assert.ok(vector);
  return cbor(vector.cbor_hex);
}

export const cbor = (hex: string): Buffer => Buffer.from(hex, 'hex');
