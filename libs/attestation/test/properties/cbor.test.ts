import assert from 'node:assert/strict';
import { Decoder } from 'cbor-x';
import fc from 'fast-check';
import { holds } from '../../../../test/properties/cases.ts';
import { mutationsOf } from '../../../../test/properties/mutations.ts';
import { CborSimple, CborTag, type CborValue, decodeCbor } from '../../src/cbor.ts';
import { AttestationError } from '../../src/index.ts';
import { genuine } from '../support.ts';
import { item, type Value } from './cbor-items.ts';
import { isWellFormed } from './well-formed.ts';

/** Another reader, that takes more than ours: no rules for keys, text or depth. */
const lenient = new Decoder({ mapsAsObjects: false, useRecords: false, int64AsType: 'bigint' } as ConstructorParameters<
  typeof Decoder
>[0]);

/** The error text of an input that is refused, undefined for one that is read. */
function refusal(bytes: Uint8Array): string | undefined {
  try {
    decodeCbor(bytes);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof AttestationError, String(error));
    assert.equal(error.code, 'ATTESTATION_CBOR');
    return error.message;
  }
}

/** Integers as bigint, bytes as plain arrays, so that what two readers give can be compared. */
function normal(value: unknown): Value {
  if (typeof value === 'number') return BigInt(value);
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(normal);
  if (value instanceof Map)
    return new Map([...value].map(([key, each]) => [normal(key) as bigint | string, normal(each)]));
  return value as Value;
}

/** Strings in chunks and negative integers of 64 bits are beyond the other reader. Other bytes may look like one. */
const isBeyond = (bytes: Uint8Array): boolean => bytes.some((byte) => byte === 0x5f || byte === 0x7f || byte === 0x3b);

/** Holds what only ours gives, or what the other reader makes a date, a set or a record of. */
function isSpecial(value: CborValue): boolean {
  if (value instanceof CborTag || value instanceof CborSimple) return true;
  if (Array.isArray(value)) return value.some(isSpecial);
  return value instanceof Map && [...value.values()].some(isSpecial);
}

const hostile = fc.oneof(
  item.chain(({ bytes }) => mutationsOf(bytes)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  mutationsOf(genuine),
);

describe('CBOR, at random', () => {
  it('means the same in every width, in chunks and with open ends', async () => {
    await holds(
      fc.property(item, ({ value, bytes }) => {
        assert.deepEqual(normal(decodeCbor(bytes)), normal(value));
        assert.ok(isWellFormed(bytes));
      }),
      500,
    );
  });

  it('is read as cbor-x reads it', async () => {
    await holds(
      fc.property(item, ({ bytes }) => {
        if (!isBeyond(bytes)) assert.deepEqual(normal(decodeCbor(bytes)), normal(lenient.decode(bytes)));
      }),
      500,
    );
  });

  it('is taken only when RFC 8949 calls it well-formed, and refused else only for keys, text or depth', async () => {
    const seen = { taken: 0, refused: 0 };
    await holds(
      fc.property(hostile, (bytes) => {
        const found = refusal(bytes);
        seen[found === undefined ? 'taken' : 'refused'] += 1;
        if (found === undefined) assert.ok(isWellFormed(bytes));
        else if (isWellFormed(bytes)) assert.match(found, / a key | text that is not UTF-8 |more than 8 levels/);
      }),
      4_000,
    );
    assert.ok(seen.taken > 0 && seen.refused > 0, JSON.stringify(seen));
  });

  it('is never taken with another meaning than cbor-x gives it', async () => {
    await holds(
      fc.property(hostile, (bytes) => {
        if (refusal(bytes) !== undefined || isBeyond(bytes)) return;
        const value = decodeCbor(bytes);
        if (!isSpecial(value)) assert.deepEqual(normal(value), normal(lenient.decode(bytes)));
      }),
      2_000,
    );
  });
});
