import assert from 'node:assert/strict';
import { readSealedKey, SealedKeyError, sealInEnvelope } from '@enclaver/wire/sealed-key';
import { readOrRefuse } from '../target.ts';

const dataKey = Buffer.alloc(32, 1);

export const seeds = [
  sealInEnvelope(Buffer.from('a key'), dataKey, Buffer.from('wrapped')),
  'AQIDBA==\n',
  '-----BEGIN X',
];

/** The file of a sealed TLS key: it opens to what was sealed, or is refused. */
export function fuzz(input: Buffer): void {
  const sealed = readOrRefuse(() => readSealedKey(input), SealedKeyError);
  if (sealed === undefined) return;
  const opened = readOrRefuse(() => sealed.open(dataKey), SealedKeyError);
  if (input[0] === 0x7b && opened !== undefined) assert.equal(opened.toString(), 'a key');
}
