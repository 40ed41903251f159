import assert from 'node:assert/strict';
import {
  EgressReplyDecoder,
  EgressRequestDecoder,
  encodeEgress,
  encodeStore,
  StoreReplyDecoder,
  StoreRequestDecoder,
  WireError,
} from '@enclaver/wire';
import { readOrRefuse, sameInPieces } from '../target.ts';

export const seeds = [
  encodeEgress({ host: 'example.com', port: 443 }),
  encodeEgress({ Ok: { address: '192.0.2.1' } }),
  encodeEgress({ Err: { os_code: 111, message: 'Connection refused' } }),
  Buffer.from('\x02\0{}rest', 'latin1'),
];

const DECODERS = [EgressRequestDecoder, EgressReplyDecoder, StoreRequestDecoder, StoreReplyDecoder];

/** The frames of egress and of the store: the same however they are cut, and what is taken can be written again. */
export function fuzz(input: Buffer): void {
  for (const Decoder of DECODERS) {
    const read = readOrRefuse(
      () =>
        sameInPieces(input, (pieces) => {
          const decoder = new Decoder();
          let found: { message: unknown; rest: Buffer } | undefined;
          const after: Buffer[] = [];
          for (const piece of pieces) {
            if (found === undefined) found = decoder.push(piece);
            else after.push(piece);
          }
          return found && { message: found.message, rest: Buffer.concat([found.rest, ...after]).toString('hex') };
        }),
      WireError,
    );
    if (read === undefined) continue;
    const encode = (
      Decoder === EgressRequestDecoder || Decoder === EgressReplyDecoder ? encodeEgress : encodeStore
    ) as (message: unknown) => Buffer;
    const again = readOrRefuse(() => new Decoder().push(encode(read.message)), WireError);
    if (again !== undefined) assert.deepEqual(again.message, read.message);
  }
}
