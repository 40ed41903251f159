import assert from 'node:assert/strict';
import { pemSigner, type Signing } from '../src/index.ts';
import { type InvalidVectors, type ValidCase, type ValidVectors, vectors } from './support.ts';

/** A certificate and its key, of no value. */
export interface KeyPair {
  certificate_pem: string;
  private_key_pkcs8_pem: string;
}

export const valid = await vectors<ValidVectors>('eif-valid');
export const invalid = await vectors<InvalidVectors>('eif-invalid');
export const named = (name: string): ValidCase =>
  valid.cases.find((vector) => vector.name === name) ?? assert.fail(name);
const signedBy = (name: string): KeyPair => named(name).signed ?? assert.fail(name);
export const p256 = signedBy('signed-p256');
export const p384 = signedBy('signed-p384');
export const p521 = await vectors<KeyPair>('p521');
export const signing = (
  { certificate_pem, private_key_pkcs8_pem }: KeyPair,
  changes: Partial<Signing> = {},
): Signing => ({
  certificatePem: Buffer.from(certificate_pem),
  signer: pemSigner(Buffer.from(private_key_pkcs8_pem)),
  now: new Date('2026-12-01'),
  ...changes,
});

/** For properties: a counterexample prints the name only. */
export const byCurve = { 'P-256': p256, 'P-384': p384, 'P-521': p521 };
