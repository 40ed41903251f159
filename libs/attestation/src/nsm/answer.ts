import * as z from 'zod';
import type { Encodable } from './cbor-encode.ts';
import { type DeviceErrorCode, deviceError, NsmError } from './errors.ts';
import { MAX_ANSWER_BYTES, MAX_MODULE_ID, MAX_RANDOM_BYTES, PCR_BYTES } from './limits.ts';
import { byteString, decodeMessage, encodeMessage, fields, type Message, u16 } from './message.ts';
import type { NsmRequest } from './request.ts';

const pcr = byteString(PCR_BYTES, PCR_BYTES);
/** Two answers have no body: the bare name. */
const nothing = z.undefined();

/** The body of the answer to each request, as it is on the wire. */
const answerSchemas = {
  DescribeNSM: fields({
    version_major: u16,
    version_minor: u16,
    version_patch: u16,
    module_id: z.string().min(1).max(MAX_MODULE_ID),
    max_pcrs: u16,
    locked_pcrs: z.array(u16),
    digest: z.literal('SHA384'),
  }),
  DescribePCR: fields({ lock: z.boolean(), data: pcr }),
  ExtendPCR: fields({ data: pcr }),
  LockPCR: nothing,
  LockPCRs: nothing,
  GetRandom: fields({ random: byteString(1, MAX_RANDOM_BYTES) }),
  Attestation: fields({ document: byteString(1, MAX_ANSWER_BYTES) }),
} satisfies Record<NsmRequest['kind'], z.ZodType>;

/** Bodies of answers by the request they are for. Byte strings are views of what was read. */
export type NsmAnswers = { [Kind in keyof typeof answerSchemas]: z.output<(typeof answerSchemas)[Kind]> };

/**
 * The body of the answer to a request of this kind. Throws NsmError: the code of the device's own error, NSM_UNKNOWN_ERROR
 * for one that is not known, NSM_INVALID_RESPONSE for what is too long, no CBOR, or the answer to something else.
 */
export function decodeAnswer<Kind extends NsmRequest['kind']>(kind: Kind, bytes: Uint8Array): NsmAnswers[Kind] {
  if (bytes.length > MAX_ANSWER_BYTES) {
    throw new NsmError(
      'NSM_INVALID_RESPONSE',
      `the answer to ${kind} has ${bytes.length} bytes; at most ${MAX_ANSWER_BYTES} are allowed`,
    );
  }
  const message = attempt(kind, () => decodeMessage(bytes));
  if (message.kind === 'Error' && typeof message.body === 'string') throw deviceError(message.body);
  if (message.kind !== kind) {
    throw new NsmError('NSM_INVALID_RESPONSE', `the NSM was asked ${kind} and answered with something else`);
  }
  return attempt(kind, () => answerSchemas[kind].parse(message.body) as NsmAnswers[Kind]);
}

/** CBOR of an answer, with its keys in the order of the device. */
export function encodeAnswer<Kind extends NsmRequest['kind']>(kind: Kind, body: NsmAnswers[Kind]): Uint8Array {
  // A schema's output has its keys in the order of the schema.
  const ordered = answerSchemas[kind].parse(body === undefined ? undefined : new Map(Object.entries(body)));
  return encodeMessage(kind, ordered && new Map<string, Encodable>(Object.entries(ordered)));
}

export function encodeErrorAnswer(code: DeviceErrorCode): Uint8Array {
  return encodeMessage('Error', code);
}

function attempt<Result extends Message | NsmAnswers[NsmRequest['kind']]>(kind: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    throw new NsmError('NSM_INVALID_RESPONSE', `the answer to ${kind} is not as the NSM gives it`, { cause });
  }
}
