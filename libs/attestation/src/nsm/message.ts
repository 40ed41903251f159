import * as z from 'zod';
import { decodeCbor } from '../cbor.ts';
import { type Encodable, encodeCbor } from './cbor-encode.ts';

/**
 * The form that requests and answers share (aws-nitro-enclaves-nsm-api, `src/api/mod.rs`): a bare text, or a map of one
 * text key whose value is the body.
 */
export interface Message {
  kind: string;
  /** Undefined for a bare text. */
  body: unknown;
}

export const u16 = z.number().int().min(0).max(0xffff);
export const byteString = (min: number, max: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length >= min && value.length <= max, {
    error: `expected ${min} to ${max} bytes`,
  });

/** A CBOR map with text keys, read by key: senders differ in their order. Keys that nobody asks for are left out. */
export const fields = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z
    .map(z.string(), z.unknown())
    .transform((map) => Object.fromEntries(map))
    .pipe(z.object(shape));

const messageSchema = z.union([
  z.string().transform((kind): Message => ({ kind, body: undefined })),
  z
    .map(z.string(), z.unknown())
    .refine((map) => map.size === 1, { error: 'expected a map of one key' })
    .transform((map): Message => {
      const [[kind, body] = ['', undefined]] = map;
      return { kind, body };
    }),
]);

/** Throws what the CBOR reader throws, or a ZodError. */
export function decodeMessage(bytes: Uint8Array): Message {
  return messageSchema.parse(decodeCbor(bytes));
}

export function encodeMessage(kind: string, body?: ReadonlyMap<string, Encodable> | string): Buffer {
  return encodeCbor(body === undefined ? kind : new Map([[kind, body]]));
}
