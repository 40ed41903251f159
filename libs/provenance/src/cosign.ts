import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Envelope, linesOf, parseEnvelope, preAuthEncoding } from './dsse.ts';
import { limits } from './limits.ts';
import { ProvenanceError } from './provenance-error.ts';
import { STATEMENT_MEDIA_TYPE, type Statement } from './statement.ts';
import { runTool, type ToolResult } from './tool.ts';

export interface CosignOptions {
  signal?: AbortSignal;
}

export interface SigningOptions extends CosignOptions {
  /** Path of a key of `cosign generate-key-pair`, or a KMS key as cosign names it. Its password is in COSIGN_PASSWORD. */
  key: string;
  /** An existing folder for work files. */
  work: string;
}

// Nothing is told to a public log: signing works offline, and what is built stays private
const OFFLINE = ['--tlog-upload=false', '--yes'];

/** Signs an image, `repository@sha256:…`, in its registry. Throws COSIGN_MISSING, COSIGN_FAILED, SIGN_KEY_UNUSABLE. */
export async function signImage(image: string, { key, signal }: SigningOptions): Promise<void> {
  await cosign(['sign', ...OFFLINE, `--key=${key}`, image], { signal });
}

/**
 * Signs a statement as it is. `cosign attest` would make one of its own, which names nothing but the image; so cosign signs
 * the bytes that DSSE asks for as a blob. Throws as `signImage`.
 */
export async function signStatement(statement: Statement, { key, work, signal }: SigningOptions): Promise<Envelope> {
  const payload = Buffer.from(JSON.stringify(statement));
  const file = join(work, 'statement.pae');
  await writeFile(file, preAuthEncoding(STATEMENT_MEDIA_TYPE, payload));
  const { stdout } = await cosign(['sign-blob', ...OFFLINE, `--key=${key}`, file], { signal });
  const signatures = [{ keyid: '', sig: stdout.toString('latin1').trim() }];
  return { payloadType: STATEMENT_MEDIA_TYPE, payload: payload.toString('base64'), signatures };
}

/** Adds an envelope to those of an image in its registry. Throws COSIGN_MISSING, COSIGN_FAILED. */
export async function attachEnvelope(
  image: string,
  envelope: Envelope,
  { work, signal }: CosignOptions & { work: string },
): Promise<void> {
  const file = join(work, 'attestation.json');
  await writeFile(file, JSON.stringify(envelope));
  await cosign(['attach', 'attestation', `--attestation=${file}`, image], { signal });
}

/** The digest (`sha256:…`) that a tag leads to now. Throws COSIGN_MISSING, COSIGN_FAILED. */
export async function resolveDigest(image: string, { signal }: CosignOptions = {}): Promise<string> {
  const { stdout } = await cosign(['triangulate', '--', image], { signal });
  const hex = /sha256-([0-9a-f]{64})\.sig\s*$/.exec(stdout.toString('latin1'))?.[1];
  if (hex !== undefined) return `sha256:${hex}`;
  throw new ProvenanceError('COSIGN_FAILED', `cosign names no digest for ${image}: ${stdout.toString('utf8').trim()}`);
}

/** The signatures of an image as cosign prints them, a line of JSON each; none where it has none. Not checked. */
export async function fetchSignatures(image: string, { signal }: CosignOptions = {}): Promise<Buffer[]> {
  const result = await run(['download', 'signature', image], { signal, maxBytes: limits.signatureBytes });
  if (result.code !== 0 && /no signatures associated/.test(result.words)) return [];
  return linesOf(checked(result, 'download signature').stdout);
}

/** The envelopes of an image that have the form of one. Not checked. Throws COSIGN_MISSING, COSIGN_FAILED. */
export async function fetchEnvelopes(image: string, { signal }: CosignOptions = {}): Promise<Envelope[]> {
  const result = await run(['download', 'attestation', image], { signal, maxBytes: limits.attestationBytes });
  if (result.code !== 0 && /found no attestations/.test(result.words)) return [];
  return linesOf(checked(result, 'download attestation').stdout).flatMap((line) => {
    try {
      return [parseEnvelope(line)];
    } catch (error) {
      // Anyone may add to an image's attestations; what is not of our form was not made by our key
      if (error instanceof ProvenanceError) return [];
      throw error;
    }
  });
}

interface RunOptions {
  signal: AbortSignal | undefined;
  maxBytes?: number;
}

async function cosign(args: readonly string[], options: RunOptions): Promise<ToolResult> {
  return checked(await run(args, options), args[0] ?? '');
}

async function run(args: readonly string[], { signal, maxBytes }: RunOptions): Promise<ToolResult> {
  return await runTool('cosign', args, {
    missing: 'COSIGN_MISSING',
    ...(signal === undefined ? {} : { signal }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
}

function checked(result: ToolResult, command: string): ToolResult {
  if (result.code === 0) return result;
  const last = lastWords(result.words);
  if (/reading key|decryption failed|getting signer|key password/i.test(last)) {
    throw new ProvenanceError('SIGN_KEY_UNUSABLE', `cosign cannot use the signing key: ${last}`);
  }
  const refused = /unauthorized|denied|forbidden/i.test(last);
  const remedy = refused
    ? 'log in with `docker login`, as the user that this runs as'
    : 'check the name of the image and the network';
  throw new ProvenanceError('COSIGN_FAILED', `cosign ${command} failed: ${last}`, { remedy });
}

/** cosign says its error twice, and its progress before. */
function lastWords(words: string): string {
  const errors = words
    .split('\n')
    .flatMap((line) => /^(?:Error|error during command execution): (.*)/.exec(line)?.[1] ?? []);
  return errors[0] ?? (words.trim().split('\n').slice(-3).join(' ') || 'it ended without a word');
}
