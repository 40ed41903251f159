import * as z from 'zod';
import { NsmError } from './errors.ts';
import { MAX_FIELD_BYTES, MAX_REQUEST_BYTES } from './limits.ts';
import { byteString, decodeMessage, encodeMessage, fields, u16 } from './message.ts';

/** What a document may carry for its caller. An empty `userData` or `nonce` is another thing than none. */
export interface AttestationFields {
  /** 1 to 1024 bytes; for KMS a public key in DER (SubjectPublicKeyInfo). */
  publicKey?: Uint8Array | undefined;
  /** At most 1024 bytes. */
  userData?: Uint8Array | undefined;
  /** At most 1024 bytes. */
  nonce?: Uint8Array | undefined;
}

/** What can be asked of an NSM. `kind` is the name on the wire. */
export type NsmRequest =
  | { kind: 'DescribeNSM' }
  | { kind: 'GetRandom' }
  | { kind: 'DescribePCR'; index: number }
  | { kind: 'ExtendPCR'; index: number; data: Uint8Array }
  | { kind: 'LockPCR'; index: number }
  | { kind: 'LockPCRs'; range: number }
  | ({ kind: 'Attestation' } & AttestationFields);

const data = byteString(0, MAX_REQUEST_BYTES);
const optional = data.nullish().transform((value) => value ?? undefined);

const requestSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('DescribeNSM'), body: z.undefined() }),
  z.object({ kind: z.literal('GetRandom'), body: z.undefined() }),
  z.object({ kind: z.literal('DescribePCR'), body: fields({ index: u16 }) }),
  z.object({ kind: z.literal('ExtendPCR'), body: fields({ index: u16, data }) }),
  z.object({ kind: z.literal('LockPCR'), body: fields({ index: u16 }) }),
  z.object({ kind: z.literal('LockPCRs'), body: fields({ range: u16 }) }),
  z.object({
    kind: z.literal('Attestation'),
    body: fields({ user_data: optional, nonce: optional, public_key: optional }).transform(
      ({ user_data, nonce, public_key }) => ({ userData: user_data, nonce, publicKey: public_key }),
    ),
  }),
]);

/**
 * CBOR of a request, as the NSM's own libraries write it. Throws NsmError, as the device would answer: NSM_INVALID_INDEX
 * for an index or range that is no u16, NSM_INVALID_ARGUMENT for an empty public key, NSM_INPUT_TOO_LARGE.
 */
export function encodeRequest(request: NsmRequest): Uint8Array {
  checkRequest(request);
  const bytes = encode(request);
  if (bytes.length > MAX_REQUEST_BYTES) {
    throw new NsmError(
      'NSM_INPUT_TOO_LARGE',
      `the request ${request.kind} has ${bytes.length} bytes; at most ${MAX_REQUEST_BYTES} are allowed`,
    );
  }
  return bytes;
}

/** Reads what `encodeRequest` writes. Throws NSM_INVALID_OPERATION for everything else; of the limits only knows u16. */
export function decodeRequest(bytes: Uint8Array): NsmRequest {
  try {
    const { kind, body } = requestSchema.parse(decodeMessage(bytes));
    return { kind, ...body } as NsmRequest;
  } catch (cause) {
    throw new NsmError('NSM_INVALID_OPERATION', `${bytes.length} bytes are no request that is known`, { cause });
  }
}

function checkRequest(request: NsmRequest): void {
  const number = 'index' in request ? request.index : 'range' in request ? request.range : 0;
  if (!u16.safeParse(number).success) {
    throw new NsmError('NSM_INVALID_INDEX', `${number} is no index of a register; allowed are 0 to ${0xffff}`);
  }
  if (request.kind !== 'Attestation') return;
  if (request.publicKey?.length === 0) {
    throw new NsmError('NSM_INVALID_ARGUMENT', `the public key is empty; allowed are 1 to ${MAX_FIELD_BYTES} bytes`);
  }
  for (const name of ['publicKey', 'userData', 'nonce'] as const) {
    const length = request[name]?.length ?? 0;
    if (length > MAX_FIELD_BYTES) {
      throw new NsmError('NSM_INPUT_TOO_LARGE', `${name} has ${length} bytes; at most ${MAX_FIELD_BYTES} are allowed`);
    }
  }
}

function encode(request: NsmRequest): Uint8Array {
  switch (request.kind) {
    case 'DescribeNSM':
    case 'GetRandom':
      return encodeMessage(request.kind);
    case 'DescribePCR':
    case 'LockPCR':
      return encodeMessage(request.kind, new Map([['index', request.index]]));
    case 'LockPCRs':
      return encodeMessage(request.kind, new Map([['range', request.range]]));
    case 'ExtendPCR':
      return encodeMessage(
        request.kind,
        new Map<string, number | Uint8Array>([
          ['index', request.index],
          ['data', request.data],
        ]),
      );
    case 'Attestation':
      return encodeMessage(
        request.kind,
        new Map([
          ['user_data', request.userData ?? null],
          ['nonce', request.nonce ?? null],
          ['public_key', request.publicKey ?? null],
        ]),
      );
  }
}
