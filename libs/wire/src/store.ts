import * as z from 'zod';
import { encodeFrame, FrameDecoder } from './frame.ts';

/**
 * Store protocol (vsock 17004, enclave dials the parent): values that the enclave has sealed, kept outside. One request and
 * one reply a connection, each a u32 little-endian length and that many bytes of JSON. The parent puts the keys of an
 * enclave apart from those of others; the enclave sends no name of itself. What comes back is not believed: the enclave
 * opens it, and knows what the parent may still do (delete, give back an older value, answer nothing).
 */

/** Longest value in bytes: key, chain and account of ACME take some 8 KiB. */
export const STORE_VALUE_MAX = 64 * 1024;

/** Longest request or reply: the value in base64 and the fields around it. */
export const STORE_MESSAGE_MAX = 96 * 1024;

const key = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,127}$/);
/** Of a value: grows with each change. 0 stands for "there is none". */
const revision = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const value = z.base64().max(Math.ceil(STORE_VALUE_MAX / 3) * 4);

const requestSchema = z.discriminatedUnion('op', [
  /** `known`: the revision that the enclave has already, and need not be sent again. */
  z.strictObject({ op: z.literal('get'), key, known: revision.min(1).optional() }),
  /** Stores only if the key is at the revision `expected`. */
  z.strictObject({ op: z.literal('put'), key, value, expected: revision }),
]);

const replySchema = z.discriminatedUnion('result', [
  z.strictObject({ result: z.literal('found'), value, revision: revision.min(1) }),
  z.strictObject({ result: z.literal('unchanged') }),
  z.strictObject({ result: z.literal('missing') }),
  z.strictObject({ result: z.literal('stored'), revision: revision.min(1) }),
  /** Another writer was first. */
  z.strictObject({ result: z.literal('conflict') }),
  z.strictObject({ result: z.literal('failed'), message: z.string().max(500) }),
]);

export type StoreRequest = z.infer<typeof requestSchema>;
export type StoreReply = z.infer<typeof replySchema>;

const format = { what: 'store message', lengthBytes: 4, maxBytes: STORE_MESSAGE_MAX } as const;

export function encodeStore(message: StoreRequest | StoreReply): Buffer {
  return encodeFrame(format, message);
}

export class StoreRequestDecoder extends FrameDecoder<StoreRequest> {
  constructor() {
    super(format, requestSchema);
  }
}

export class StoreReplyDecoder extends FrameDecoder<StoreReply> {
  constructor() {
    super(format, replySchema);
  }
}
