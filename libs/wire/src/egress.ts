import * as z from 'zod';
import { WireError } from './wire-error.ts';

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

export function encodeEgress(message: EgressRequest | EgressReply): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  if (json.length > EGRESS_MESSAGE_MAX) {
    throw new WireError('FRAME_TOO_LARGE', `egress message of ${json.length} bytes, at most ${EGRESS_MESSAGE_MAX}`);
  }
  const frame = Buffer.alloc(2 + json.length);
  frame.writeUInt16LE(json.length, 0);
  json.copy(frame, 2);
  return frame;
}

/**
 * Reads exactly one message of kind `T`. `push` returns it with the bytes that followed it (they belong to the raw
 * connection), or undefined while it is incomplete; throws `WireError` when the peer breaks the format.
 */
class EgressDecoder<T> {
  readonly #schema: z.ZodType<T>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(schema: z.ZodType<T>) {
    this.#schema = schema;
  }

  push(chunk: Buffer): { message: T; rest: Buffer } | undefined {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    if (this.#buffer.length < 2) return undefined;
    const length = this.#buffer.readUInt16LE(0);
    if (length === 0 || length > EGRESS_MESSAGE_MAX) {
      throw new WireError('FRAME_TOO_LARGE', `egress message of ${length} bytes, 1 to ${EGRESS_MESSAGE_MAX} allowed`);
    }
    if (this.#buffer.length < 2 + length) return undefined;
    const message = parse(this.#buffer.subarray(2, 2 + length), this.#schema);
    return { message, rest: this.#buffer.subarray(2 + length) };
  }
}

export class EgressRequestDecoder extends EgressDecoder<EgressRequest> {
  constructor() {
    super(requestSchema);
  }
}

export class EgressReplyDecoder extends EgressDecoder<EgressReply> {
  constructor() {
    super(replySchema);
  }
}

function parse<T>(json: Buffer, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(json.toString('utf8'));
  } catch (cause) {
    throw new WireError('FRAME_INVALID', 'egress message is not JSON', { cause });
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new WireError('FRAME_INVALID', `egress message is not one we know: ${z.prettifyError(result.error)}`);
  }
  return result.data;
}
