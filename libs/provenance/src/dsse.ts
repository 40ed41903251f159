import type { KeyObject } from 'node:crypto';
import * as z from 'zod';
import { decodeJson } from './json.ts';
import { limits } from './limits.ts';
import { ProvenanceError } from './provenance-error.ts';
import { isSignedBy } from './public-key.ts';
import { parseStatement, STATEMENT_MEDIA_TYPE, type Statement } from './statement.ts';

/** A signed statement (secure-systems-lab/dsse, `envelope.md`). Payload and signatures are base64. */
export interface Envelope {
  payloadType: string;
  payload: string;
  signatures: { keyid?: string; sig: string }[];
}

/** An SBOM has many megabytes of it: a repeated group in the expression would be more than V8's stack for expressions takes. */
const base64 = z.string().refine((text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), 'not base64');

const envelopeSchema = z.object({
  payloadType: z.string(),
  payload: base64,
  signatures: z
    .array(z.object({ keyid: z.string().optional(), sig: base64 }))
    .min(1)
    .max(limits.signatures),
});

/** What cosign writes around an envelope: a bundle of the new form, and one of the old. */
const bundleSchema = z.looseObject({ dsseEnvelope: z.unknown() });
const oldBundleSchema = z.looseObject({ base64Signature: base64 });

/** What is signed in place of the payload alone, so that its type cannot be changed (`protocol.md`, PAE). */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} `),
    type,
    Buffer.from(` ${payload.length} `),
    Buffer.from(payload),
  ]);
}

/** Reads an envelope, or a bundle of cosign with one inside. Throws ENVELOPE_INVALID. */
export function parseEnvelope(text: Uint8Array): Envelope {
  if (text.length > limits.envelopeBytes) {
    throw new ProvenanceError(
      'ENVELOPE_INVALID',
      `an envelope has ${text.length} bytes; at most ${limits.envelopeBytes} are allowed`,
    );
  }
  const value = decodeJson(text, z.record(z.string(), z.unknown()), 'ENVELOPE_INVALID', 'a signed statement');
  const bundle = bundleSchema.safeParse(value);
  const old = oldBundleSchema.safeParse(value);
  const inner =
    bundle.success && bundle.data.dsseEnvelope !== undefined
      ? Buffer.from(JSON.stringify(bundle.data.dsseEnvelope))
      : old.success
        ? Buffer.from(old.data.base64Signature, 'base64')
        : text;
  return decodeJson(inner, envelopeSchema, 'ENVELOPE_INVALID', 'the envelope of a signed statement');
}

/** Envelopes of which each is a line, as `cosign download attestation` prints them, or one alone in any form of JSON. */
export function parseEnvelopes(text: Uint8Array): Envelope[] {
  const lines = linesOf(text);
  if (lines.length <= 1 || !isJson(lines[0])) return [parseEnvelope(text)];
  return lines.map(parseEnvelope);
}

/** Whether a file is meant to be a signed statement, of whatever form. */
export function isSigned(text: Uint8Array): boolean {
  return /"(?:payloadType|dsseEnvelope|base64Signature)"\s*:/.test(Buffer.from(text).toString('latin1'));
}

/** Lines that are not empty. Throws ENVELOPE_INVALID when there are too many. */
export function linesOf(text: Uint8Array): Buffer[] {
  const bytes = Buffer.from(text);
  const lines: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    const line = bytes.subarray(at, end === -1 ? bytes.length : end);
    at += line.length + 1;
    if (line.toString('latin1').trim() === '') continue;
    if (lines.length === limits.envelopes) {
      throw new ProvenanceError('ENVELOPE_INVALID', `there are more than ${limits.envelopes} signed statements`);
    }
    lines.push(line);
  }
  return lines;
}

function isJson(line: Buffer | undefined): boolean {
  try {
    JSON.parse((line ?? Buffer.alloc(0)).toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

/**
 * The statement in an envelope, once one of its signatures is found to be by this key; `keyid` is a hint and not looked at.
 * Throws ENVELOPE_INVALID for a payload that is no statement by its type, SIGNATURE_INVALID, STATEMENT_INVALID.
 */
export function openEnvelope({ payloadType, payload, signatures }: Envelope, key: KeyObject): Statement {
  if (payloadType !== STATEMENT_MEDIA_TYPE) {
    throw new ProvenanceError(
      'ENVELOPE_INVALID',
      `the envelope holds ${JSON.stringify(payloadType)}; allowed is ${STATEMENT_MEDIA_TYPE}`,
    );
  }
  const bytes = Buffer.from(payload, 'base64');
  const signed = preAuthEncoding(payloadType, bytes);
  if (!signatures.some(({ sig }) => isSignedBy(key, signed, sig))) {
    throw new ProvenanceError('SIGNATURE_INVALID', 'no signature of the statement is by the key that was given');
  }
  return parseStatement(bytes);
}
