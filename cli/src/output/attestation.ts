import type { AttestationDocument, AttestationFailure } from '@enclaver/attestation';
import { showText } from '@enclaver/eif';
import { formatTable } from './table.ts';

/** What is known of a document after it was checked. */
export interface Verdict {
  at: Date;
  /** What was not expected, and so not checked. */
  unchecked: string[];
  /** None for a document that is genuine and as expected. */
  failures: readonly AttestationFailure[];
  /** What it says; not there when it cannot be read. */
  document?: AttestationDocument | undefined;
  /** The key that the other side of a connection has proven to have, in the form of curl's `--pinnedpubkey`. */
  pin?: string;
}

/** Bytes that fit a line; `-o json` has all of them. */
const SHOWN_BYTES = 48;

export function attestationJson({ at, unchecked, failures, document, pin }: Verdict): Record<string, unknown> {
  return {
    verdict: failures.length === 0 ? 'verified' : 'refused',
    at: at.toISOString(),
    unchecked,
    failures,
    document: document === undefined ? null : fieldsOf(document),
    ...(pin === undefined ? {} : { pin }),
  };
}

export function attestationText({ at, unchecked, failures, document, pin }: Verdict): string {
  const rows = [
    ...(document === undefined ? [] : rowsOf(document)),
    ...(pin === undefined ? [] : [['pin', pin] as [string, string]]),
  ];
  const missing = unchecked.length === 0 ? '' : `; not checked, since not given: ${unchecked.join(', ')}`;
  const verdict =
    failures.length === 0
      ? `verified at ${at.toISOString()}${missing}`
      : `refused: ${[...new Set(failures.map(({ code }) => code))].join(', ')}`;
  const table = rows.length === 0 ? '' : `${formatTable(['field', 'value'], rows)}\n`;
  return `${table}${verdict}\n`;
}

function fieldsOf(document: AttestationDocument): Record<string, unknown> {
  return {
    module_id: document.moduleId,
    digest: document.digest,
    timestamp: new Date(document.timestamp).toISOString(),
    pcrs: Object.fromEntries([...document.pcrs].map(([index, value]) => [`PCR${index}`, hex(value)])),
    public_key: hexOrNull(document.publicKey),
    user_data: hexOrNull(document.userData),
    nonce: hexOrNull(document.nonce),
  };
}

function rowsOf(document: AttestationDocument): [string, string][] {
  const pcrs = [...document.pcrs].sort(([a], [b]) => a - b);
  const isZero = ([, value]: [number, Uint8Array]): boolean => value.every((byte) => byte === 0);
  const zeros = pcrs.filter(isZero).map(([index]) => index);
  return [
    ['module_id', showText(document.moduleId)],
    ['timestamp', new Date(document.timestamp).toISOString()],
    ...pcrs.filter((each) => !isZero(each)).map(([index, value]): [string, string] => [`PCR${index}`, hex(value)]),
    ...(zeros.length === 0 ? [] : [['zero', zeros.map((index) => `PCR${index}`).join(' ')] as [string, string]]),
    ['public_key', shown(document.publicKey)],
    ['user_data', shown(document.userData)],
    ['nonce', shown(document.nonce)],
  ];
}

function shown(bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return 'none';
  const rest = bytes.length > SHOWN_BYTES ? `… (${bytes.length} bytes)` : '';
  return `${hex(bytes.subarray(0, SHOWN_BYTES))}${rest}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function hexOrNull(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : hex(bytes);
}
