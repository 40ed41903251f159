import type { KeyObject } from 'node:crypto';
import type { Measurements } from '@enclaver/eif';
import * as z from 'zod';
import { fetchEnvelopes, fetchSignatures, resolveDigest } from './cosign.ts';
import { type Envelope, openEnvelope, parseEnvelopes } from './dsse.ts';
import { decodeJson } from './json.ts';
import { MAX_STATEMENT_FILE_BYTES } from './limits.ts';
import { checkMeasurements, statedMeasurements } from './pcrs.ts';
import { ProvenanceError, type ProvenanceErrorCode } from './provenance-error.ts';
import { checkImageSignature } from './simple-signing.ts';
import { pushedImage, type Statement } from './statement.ts';
import { PCRS_TYPE, PROVENANCE_TYPE, SBOM_TYPE } from './uris.ts';

/** What the holder of a key has said about an image, found to be signed and to be about this image. */
export interface VerifiedImage {
  /** `repository@sha256:…` */
  image: string;
  measurements: Measurements;
  provenance: Statement;
  sbom?: Statement;
}

export interface VerifyImageOptions {
  signal?: AbortSignal;
  /** Called with each check that was passed, in words. */
  onPassed?: (text: string) => void;
}

/**
 * Checks signature, PCR statement and provenance of an image in its registry. cosign fetches, and nothing it says is
 * trusted: every signature is checked here. The EIF's bytes are still to be checked, with `checkEif`. Throws COSIGN_MISSING,
 * COSIGN_FAILED, SIGNATURE_MISSING, SIGNATURE_INVALID, SUBJECT_DIFFERS, PCR_STATEMENT_MISSING, PROVENANCE_MISSING,
 * STATEMENT_INVALID.
 */
export async function verifyImage(
  reference: string,
  key: KeyObject,
  { signal, onPassed = () => undefined }: VerifyImageOptions = {},
): Promise<VerifiedImage> {
  const abort = signal === undefined ? {} : { signal };
  const digest = await resolveDigest(reference, abort);
  const image = `${reference.replace(/@.*$/, '').replace(/:[^:/\]]*$/, '')}@${digest}`;
  const { sha256 } = pushedImage(image);
  checkSignatures(await fetchSignatures(image, abort), key, digest);
  onPassed(`image ${digest} is signed by the key`);
  const statements = signedStatements(await fetchEnvelopes(image, abort), key, sha256);
  const [pcrs, ...morePcrs] = statements.of(PCRS_TYPE, 'PCR_STATEMENT_MISSING', 'PCR statement');
  const measurements = statedMeasurements(pcrs);
  for (const other of morePcrs) checkMeasurements(measurements, statedMeasurements(other));
  onPassed('the PCR statement is signed by the key and is about this image');
  const [provenance] = statements.of(PROVENANCE_TYPE, 'PROVENANCE_MISSING', 'provenance');
  onPassed('the SLSA provenance is signed by the key and is about this image');
  const sbom = statements.find(SBOM_TYPE);
  if (sbom !== undefined) onPassed('the SBOM is signed by the key and is about this image');
  return { image, measurements, provenance, ...(sbom === undefined ? {} : { sbom }) };
}

/** Compares an image's EIF with what was verified of the image. Throws EIF_DIFFERS, PCR_STATEMENT_DIFFERS. */
export function checkEif(verified: VerifiedImage, eif: { sha256: string; measurements: Measurements }): void {
  checkMeasurements(verified.measurements, eif.measurements);
  if (isAbout(verified.provenance, eif.sha256)) return;
  throw new ProvenanceError('EIF_DIFFERS', `the EIF has sha256 ${eif.sha256}, which its provenance does not name`);
}

/**
 * The registers that a file with signed PCR statements names. Throws ENVELOPE_INVALID, SIGNATURE_INVALID, STATEMENT_INVALID,
 * PCR_STATEMENT_MISSING, and PCR_STATEMENT_DIFFERS for statements that contradict each other.
 */
export function signedMeasurements(file: Uint8Array, key: KeyObject): Measurements {
  if (file.length > MAX_STATEMENT_FILE_BYTES) {
    throw new ProvenanceError(
      'ENVELOPE_INVALID',
      `the file has more than ${MAX_STATEMENT_FILE_BYTES} bytes, which is the most that is allowed`,
    );
  }
  const statements = parseEnvelopes(file).flatMap((envelope) => {
    const opened = tryOpen(envelope, key);
    return opened === undefined ? [] : [opened];
  });
  if (statements.length === 0) {
    throw new ProvenanceError('SIGNATURE_INVALID', 'the file holds no statement that is signed by the key', {
      remedy: 'do not run this image; ask whoever gave you the file or the key',
    });
  }
  const [first, ...others] = statements.filter(({ predicateType }) => predicateType === PCRS_TYPE);
  if (first === undefined) {
    throw new ProvenanceError('PCR_STATEMENT_MISSING', `the file holds no statement of type ${PCRS_TYPE}`, {
      remedy: 'give the PCR statement of `enclaver build --sign KEY`, or all that `cosign download attestation` prints',
    });
  }
  const measurements = statedMeasurements(first);
  for (const other of others) checkMeasurements(measurements, statedMeasurements(other));
  return measurements;
}

const signatureSchema = z.object({ Base64Signature: z.string(), Payload: z.string() });

/** One good signature is enough: others may have signed as well. */
function checkSignatures(lines: readonly Buffer[], key: KeyObject, digest: string): void {
  let last = new ProvenanceError('SIGNATURE_MISSING', `image ${digest} is not signed`);
  for (const line of lines) {
    try {
      const found = decodeJson(line, signatureSchema, 'SIGNATURE_INVALID', 'a signature of the image');
      const payload = Buffer.from(found.Payload, 'base64');
      checkImageSignature({ payload, signature: found.Base64Signature }, key, digest);
      return;
    } catch (error) {
      if (!(error instanceof ProvenanceError)) throw error;
      // By the key but for another image says more than by another key
      if (last.code !== 'SUBJECT_DIFFERS') last = error;
    }
  }
  throw last;
}

/** Statements by the key, sought by type. */
function signedStatements(envelopes: readonly Envelope[], key: KeyObject, sha256: string) {
  const signed = envelopes.flatMap((envelope) => tryOpen(envelope, key) ?? []);
  const about = (type: string): Statement[] =>
    signed.filter((each) => each.predicateType === type && isAbout(each, sha256));
  return {
    find: (type: string): Statement | undefined => about(type)[0],
    of: (type: string, missing: ProvenanceErrorCode, what: string): [Statement, ...Statement[]] => {
      const [first, ...more] = about(type);
      if (first !== undefined) return [first, ...more];
      const other = signed.find((each) => each.predicateType === type);
      if (other !== undefined) {
        throw new ProvenanceError('SUBJECT_DIFFERS', `the ${what} by the key is about another image than ${sha256}`);
      }
      if (signed.length === 0 && envelopes.length > 0) {
        throw new ProvenanceError('SIGNATURE_INVALID', `none of its ${envelopes.length} attestations is by the key`);
      }
      throw new ProvenanceError(missing, `the image has no ${what} by the key that was given`);
    },
  };
}

/** Undefined for an envelope of somebody else. */
function tryOpen(envelope: Envelope, key: KeyObject): Statement | undefined {
  try {
    return openEnvelope(envelope, key);
  } catch (error) {
    if (error instanceof ProvenanceError && ['SIGNATURE_INVALID', 'ENVELOPE_INVALID'].includes(error.code))
      return undefined;
    throw error;
  }
}

function isAbout({ subject }: Statement, sha256: string): boolean {
  return subject.some(({ digest }) => digest.sha256 === sha256);
}
