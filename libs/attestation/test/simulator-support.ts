import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Nsm, NsmError, type NsmErrorCode } from '../src/nsm/index.ts';
import { DevelopmentRoot, NsmSimulator, type SimulatorOptions } from '../src/simulator/index.ts';

export const MEASUREMENTS = {
  PCR0: 'a0'.repeat(48),
  PCR1: 'b1'.repeat(48),
  PCR2: 'c2'.repeat(48),
  PCR8: 'd8'.repeat(48),
};

/** One for all tests: a root has no state. */
export const ROOT = DevelopmentRoot.create({ now: new Date('2026-01-01T00:00:00Z') });

export function simulatorOf(options: Partial<SimulatorOptions> = {}): { simulator: NsmSimulator; nsm: Nsm } {
  const simulator = new NsmSimulator({ root: ROOT, measurements: MEASUREMENTS, ...options });
  return { simulator, nsm: new Nsm(simulator.request) };
}

/** A clock that stands until it is set. */
export function clockAt(instant: string): { now: () => Date; forward: (ms: number) => void } {
  let ms = Date.parse(instant);
  return {
    now: () => new Date(ms),
    forward: (by) => {
      ms += by;
    },
  };
}

export function failsWith(code: NsmErrorCode): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof NsmError, String(error));
    assert.equal(error.code, code);
    return true;
  };
}

export const hex = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');

export interface PcrVectors {
  pcr4_seen_in_real_documents: { instance_id: string; pcr4: string }[];
  pcr3_computed: { role_arn: string; pcr3: string }[];
  extend_sequence: { data_hex: string; pcr_after: string }[];
}

export async function pcrVectors(): Promise<PcrVectors> {
  return JSON.parse(await readFile(new URL('./vectors/pcr.json', import.meta.url), 'utf8'));
}

/** A document that AWS's hardware made. */
export async function realDocument(name: string): Promise<Buffer> {
  return Buffer.from(await readFile(new URL(`./vectors/real/${name}.b64`, import.meta.url), 'utf8'), 'base64');
}
