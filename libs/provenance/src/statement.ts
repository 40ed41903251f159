import * as z from 'zod';
import { decodeJson } from './json.ts';
import { limits } from './limits.ts';
import { ProvenanceError } from './provenance-error.ts';

/** What a statement is about: a name and the digests of its bytes, lower-case hexadecimal. */
export interface Subject {
  name: string;
  digest: Record<string, string>;
}

/** An in-toto statement, version 1 (in-toto/attestation, `spec/v1/statement.md`). */
export interface Statement {
  _type: string;
  subject: Subject[];
  predicateType: string;
  predicate: object;
}

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
/** Media type of a statement, and payload type of its envelope. */
export const STATEMENT_MEDIA_TYPE = 'application/vnd.in-toto+json';
const EIF_NAME = 'application.eif';

const statementSchema = z.object({
  // cosign's own `attest` writes version 0.1, which differs only in this line
  _type: z.enum([STATEMENT_TYPE, 'https://in-toto.io/Statement/v0.1']),
  subject: z
    .array(
      z.object({
        name: z.string().default(''),
        digest: z.record(z.string(), z.string().regex(/^[0-9a-f]+$/)),
      }),
    )
    .min(1)
    .max(limits.subjects),
  predicateType: z.string().min(1),
  predicate: z.record(z.string(), z.unknown()),
});

export function statement(subject: Subject[], predicateType: string, predicate: object): Statement {
  return { _type: STATEMENT_TYPE, subject, predicateType, predicate };
}

/** Throws STATEMENT_INVALID. */
export function parseStatement(bytes: Uint8Array): Statement {
  return decodeJson(bytes, statementSchema, 'STATEMENT_INVALID', 'a signed statement');
}

/** An image that is in a registry, `repository@sha256:…`. */
export interface PushedImage {
  repository: string;
  /** 64 hexadecimal digits. */
  sha256: string;
}

/** Throws IMAGE_NOT_PUSHED for a reference without a digest, or one that a tool could take for an option. */
export function pushedImage(reference: string): PushedImage {
  const match = /^([a-z0-9[][a-zA-Z0-9._:/[\]-]{0,1000})@sha256:([0-9a-f]{64})$/.exec(reference);
  const [, name = '', sha256 = ''] = match ?? [];
  if (match !== null) return { repository: name.replace(/:[^:/\]]*$/, ''), sha256 };
  throw new ProvenanceError('IMAGE_NOT_PUSHED', `${JSON.stringify(reference)} is not REPOSITORY@sha256:DIGEST`);
}

export function imageSubject({ repository, sha256 }: PushedImage): Subject {
  return { name: repository, digest: { sha256 } };
}

export function eifSubject(sha256: string): Subject {
  return { name: EIF_NAME, digest: { sha256 } };
}
