import assert from 'node:assert/strict';
import { AttestationError, parseDocument } from '@enclaver/attestation';
import { EifError } from '@enclaver/eif';
import { documentBytes, realDocuments } from '../../../libs/attestation/test/support.ts';
import { checkSignature } from '../../../libs/eif/src/signature.ts';
import { readOrRefuse } from '../target.ts';

export const seeds = realDocuments.slice(0, 2).map(([, { file }]) => documentBytes(file));

/** COSE_Sign1: attestation documents, and the signature section of an image. */
export function fuzz(input: Buffer): void {
  const document = readOrRefuse(() => parseDocument(input), AttestationError);
  if (document !== undefined) assert.ok(document.pcrs.size <= 32);
  readOrRefuse(() => checkSignature(input, '00'.repeat(48)), EifError);
}
