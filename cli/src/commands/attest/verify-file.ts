import {
  type AttestationDocument,
  AttestationError,
  type DocumentExpectation,
  parseDocument,
  verifyDocument,
} from '@enclaver/attestation';
import { entriesOf } from '@enclaver/trust';
import { CliError } from '../../cli-error.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readExpectation } from '../../expectation.ts';
import { attestationJson, attestationText, type Verdict } from '../../output/attestation.ts';
import { formatFailure } from '../../output/failure.ts';
import { type OutputFormat, writeJson } from '../../output/format.ts';
import { readDocument, readPublicKeyBytes, readRoot } from './files.ts';

/** `pcr0` to `pcr31` beside the options that have a name. */
export type VerifyOptions = {
  output: OutputFormat;
  expect?: string;
  key?: string;
  nonce?: Uint8Array;
  userData?: Uint8Array;
  publicKey?: string;
  maxAge?: number;
  root?: string;
  at?: Date;
  allowDebug?: true;
} & { [register: `pcr${number}`]: Uint8Array | undefined };

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
  if (options.output === 'json') writeJson(attestationJson(verdict));
  else process.stdout.write(attestationText(verdict));
  for (const { code, message } of verdict.failures) {
    process.stderr.write(formatFailure(new AttestationError(code, message)));
  }
  if (verdict.failures.length > 0) process.exitCode = exitCodes.failure;
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

/** Errors: `USAGE`, and those of `readExpectation`. */
async function registersOf(options: VerifyOptions): Promise<Map<number, Uint8Array>> {
  if (options.key !== undefined && options.expect === undefined) {
    throw new CliError('USAGE', '--key was given without --expect', 'name the signed file, too');
  }
  const pcrs = new Map<number, Uint8Array>();
  if (options.expect !== undefined) {
    for (const [register, value] of entriesOf(await readExpectation(options.expect, options.key))) {
      pcrs.set(Number(register.slice('PCR'.length)), new Uint8Array(Buffer.from(value, 'hex')));
    }
  }
  for (const [name, value] of Object.entries(options)) {
    const [, index] = /^pcr(\d+)$/.exec(name) ?? [];
    if (index === undefined || !(value instanceof Uint8Array)) continue;
    const other = pcrs.get(Number(index));
    if (other !== undefined && Buffer.compare(other, value) !== 0) {
      throw new CliError('USAGE', `--pcr${index} and --expect have two values of PCR${index}`, 'give one of them');
    }
    pcrs.set(Number(index), value);
  }
  return pcrs;
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
