import * as z from 'zod';
import { encodeFrame, FrameDecoder } from './frame.ts';

/**
 * Egress protocol (vsock 17002, enclave dials the parent). One request and one reply, each a u16 little-endian length
 * and that many bytes of JSON, then the stream is the raw connection. Framing and JSON are the original's; `report` is
 * ours and asks for the address that the parent dialled, so that the enclave can refuse it before a byte is sent.
 * A reply is checked by the enclave but never believed further than that: the parent is hostile.
 */

/** A frame's payload may not be larger: the length is a u16, and the original truncates silently (fault D14). */
export const EGRESS_FRAME_MAX = 0xffff;

/** Longest request or reply that makes sense: a 253-character name, a port, an error text. Bounds what is buffered. */
export const EGRESS_MESSAGE_MAX = 4096;

const requestSchema = z.strictObject({
  host: z.string().min(1).max(253),
  port: z.number().int().min(1).max(0xffff),
  report: z.boolean().optional(),
});

const replySchema = z.union([
  z.literal('Ok'),
  z.strictObject({ Ok: z.strictObject({ address: z.union([z.ipv4(), z.ipv6()]) }) }),
  z.strictObject({ Err: z.strictObject({ os_code: z.number().int(), message: z.string() }) }),
]);

export type EgressRequest = z.infer<typeof requestSchema>;
export type EgressReply = z.infer<typeof replySchema>;

const format = { what: 'egress message', lengthBytes: 2, maxBytes: EGRESS_MESSAGE_MAX } as const;

export function encodeEgress(message: EgressRequest | EgressReply): Buffer {
  return encodeFrame(format, message);
}

/** The bytes behind the message belong to the raw connection. */
export class EgressRequestDecoder extends FrameDecoder<EgressRequest> {
  constructor() {
    super(format, requestSchema);
  }
}

export class EgressReplyDecoder extends FrameDecoder<EgressReply> {
  constructor() {
    super(format, replySchema);
  }
}
