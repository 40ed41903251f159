import { Decoder, Encoder, Tag } from 'cbor-x';
import * as z from 'zod';

/** The three ECDSA algorithms of EIF signatures, by their COSE names. */
export type SignatureAlgorithm = 'ES256' | 'ES384' | 'ES512';

/** What an algorithm is made of. */
export interface AlgorithmParameters {
  name: SignatureAlgorithm;
  /** Its number in COSE. */
  id: number;
  /** OpenSSL's name of the only curve that goes with it. */
  curve: string;
  hash: string;
  /** Bytes of r, and of s. */
  width: number;
}

/** RFC 9053, section 2.1; the curve of each is the one that upstream's tools pair it with. */
const ALGORITHMS: readonly AlgorithmParameters[] = [
  { name: 'ES256', id: -7, curve: 'prime256v1', hash: 'sha256', width: 32 },
  { name: 'ES384', id: -35, curve: 'secp384r1', hash: 'sha384', width: 48 },
  { name: 'ES512', id: -36, curve: 'secp521r1', hash: 'sha512', width: 66 },
];

/** Label of the algorithm in a COSE header (RFC 9052, section 3.1). */
const ALG = 1;
const COSE_SIGN1_TAG = 18;

const decoder = new Decoder({ mapsAsObjects: false, useRecords: false });
const encoder = new Encoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });

const sign1Schema = z.preprocess(
  // Verifiers take COSE_Sign1 with and without its tag.
  (value) => (value instanceof Tag && value.tag === COSE_SIGN1_TAG ? value.value : value),
  z.tuple([z.instanceof(Uint8Array), z.instanceof(Map), z.instanceof(Uint8Array), z.instanceof(Uint8Array)]),
);

export type Sign1 = z.output<typeof sign1Schema>;
export { sign1Schema };

/** The algorithm of a curve, by OpenSSL's name for it; undefined for every other curve. */
export function algorithmOfCurve(curve: string | undefined): AlgorithmParameters | undefined {
  return ALGORITHMS.find((algorithm) => algorithm.curve === curve);
}

/** The algorithm that a protected header names; undefined when it names another one, or more than an algorithm. */
export function algorithmOfHeader(header: ReadonlyMap<unknown, unknown>): AlgorithmParameters | undefined {
  return header.size === 1 ? ALGORITHMS.find(({ id }) => id === header.get(ALG)) : undefined;
}

export function protectedHeader(algorithm: AlgorithmParameters): Buffer {
  return encodeCbor(new Map([[ALG, algorithm.id]]));
}

/** The bytes that a signature is over (`Sig_structure`, RFC 9052, section 4.4), without external data. */
export function signedBytes(header: Uint8Array, payload: Uint8Array): Buffer {
  return encodeCbor(['Signature1', header, Buffer.alloc(0), payload]);
}

/** One COSE_Sign1 message, untagged, with an empty unprotected header. `signature` is r‖s. */
export function encodeSign1(header: Uint8Array, payload: Uint8Array, signature: Uint8Array): Buffer {
  return encodeCbor([header, new Map(), payload, signature]);
}

/** Definite lengths, shortest heads; a Map keeps its order. */
export function encodeCbor(value: unknown): Buffer {
  // The encoder gives a view of a buffer that it goes on writing to.
  return Buffer.from(encoder.encode(value));
}

/** One CBOR item and nothing behind it. Maps come as Map. Throws what the decoder throws. */
export function decodeCbor(bytes: Uint8Array): unknown {
  return decoder.decode(bytes);
}
