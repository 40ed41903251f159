import {
  type AttestationDocument,
  AttestationError,
  type DocumentExpectation,
  parseDocument,
  verifyDocument,
} from '@enclaver/attestation';
import type { Verdict } from '../../output/attestation.ts';
import type { OutputFormat } from '../../output/format.ts';
import { registersOf } from './expected.ts';
import { readDocument, readPublicKeyBytes, readRoot } from './files.ts';
import type { ExpectationOptions } from './options.ts';
import { tell } from './tell.ts';

export type VerifyOptions = ExpectationOptions & {
  output: OutputFormat;
  nonce?: Uint8Array;
  userData?: Uint8Array;
  publicKey?: string;
  at?: Date;
};

/** Prints the fields of a document and the verdict on it. */
export async function verifyFile(file: string, options: VerifyOptions): Promise<void> {
  const expect = await expectationOf(options);
  const roots = options.root === undefined ? undefined : [await readRoot(options.root)];
  const bytes = await readDocument(file);
  const at = options.at ?? new Date();
  const verdict: Verdict = { at, unchecked: unchecked(expect), failures: [] };
  try {
    verdict.document = await verifyDocument(bytes, { ...(roots && { roots }), at, expect });
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    verdict.failures = error.failures;
    verdict.document = readable(bytes);
  }
  tell(verdict, options.output);
}

async function expectationOf(options: VerifyOptions): Promise<DocumentExpectation> {
  const { nonce, userData, maxAge, allowDebug } = options;
  const pcrs = await registersOf(options);
  return {
    ...(pcrs.size > 0 && { pcrs }),
    ...(nonce && { nonce }),
    ...(userData && { userData }),
    ...(options.publicKey !== undefined && { publicKey: await readPublicKeyBytes(options.publicKey) }),
    ...(maxAge !== undefined && { maxAgeMs: maxAge }),
    ...(allowDebug && { allowDebug }),
  };
}

/** What a reader may take for checked, and is not. */
function unchecked({ pcrs, nonce }: DocumentExpectation): string[] {
  return [...(pcrs === undefined ? ['registers'] : []), ...(nonce === undefined ? ['nonce'] : [])];
}

/** The document that was refused, where it can be read at all. */
function readable(bytes: Uint8Array): AttestationDocument | undefined {
  try {
    return parseDocument(bytes);
  } catch (error) {
    if (error instanceof AttestationError) return undefined;
    throw error;
  }
}
