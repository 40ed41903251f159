import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

/** Makes documents and chains with faults that no vector has. */

export type Cbor = number | string | null | Uint8Array | Cbor[] | Map<number | string, Cbor> | { raw: Uint8Array };

function head(major: number, value: number): Buffer {
  if (value < 24) return Buffer.of((major << 5) | value);
  if (value < 2 ** 8) return Buffer.of((major << 5) | 24, value);
  if (value < 2 ** 16) return Buffer.of((major << 5) | 25, value >> 8, value & 0xff);
  const long = Buffer.alloc(9, (major << 5) | 27);
  long.writeBigUInt64BE(BigInt(value), 1);
  return long;
}

export function encode(value: Cbor): Buffer {
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(encode)]);
  if (value instanceof Map)
    return Buffer.concat([head(5, value.size), ...[...value].flat().map((each) => encode(each as Cbor))]);
  return Buffer.from(value.raw);
}

export type Keys = Awaited<ReturnType<typeof makeKeys>>;

export async function makeKeys(namedCurve = 'P-384') {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve }, true, ['sign', 'verify']);
  return { privateKey: pair.privateKey, spki: await crypto.subtle.exportKey('spki', pair.publicKey) };
}

export async function sign(keys: Keys, data: Uint8Array, hash = 'SHA-384'): Promise<Uint8Array> {
  const algorithm = { name: 'ECDSA', hash };
  return new Uint8Array(await crypto.subtle.sign(algorithm, keys.privateKey, new Uint8Array(data)));
}

function derInteger(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const magnitude = bytes.subarray(start);
  const padding = (magnitude[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.from([2, padding.length + magnitude.length, ...padding, ...magnitude]);
}

export function derSignature(raw: Uint8Array): Buffer {
  const width = raw.length / 2;
  const body = Buffer.concat([derInteger(raw.subarray(0, width)), derInteger(raw.subarray(width))]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

export const ECDSA_SHA384 = '1.2.840.10045.4.3.3';
export const ECDSA_SHA512 = '1.2.840.10045.4.3.4';

export interface CertificateFields {
  subject: string;
  issuer: string;
  keys: Keys;
  issuerKeys: Keys;
  ca: boolean;
  pathLength?: number;
  usage: number;
  from: string;
  until: string;
  version: Version;
  innerAlgorithm: string;
  outerAlgorithm: string;
  hash?: string;
  more: Extension[];
  /** What becomes of the DER signature, and of the whole. */
  signature: (der: Uint8Array) => Uint8Array;
  whole: (der: Uint8Array) => Uint8Array;
}

const nameOf = (text: string): Name =>
  new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({ type: '2.5.4.3', value: new AttributeValue({ utf8String: text }) }),
    ]),
  ]);

const extension = (extnID: string, critical: boolean, value: unknown): Extension =>
  new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });

export const unknownExtension = (critical: boolean): Extension =>
  extension('1.2.3.4', critical, new BasicConstraints({ cA: false }));

/** One whose value is an OCTET STRING. */
export const bytesExtension = (extnID: string, bytes: Uint8Array): Extension =>
  extension(extnID, false, new OctetString(new Uint8Array(bytes).buffer));

export const pathLengthExtension = (ca: boolean, pathLength?: number): Extension =>
  extension(
    '2.5.29.19',
    true,
    new BasicConstraints({ cA: ca, ...(pathLength !== undefined && { pathLenConstraint: pathLength }) }),
  );

export async function makeCertificate(fields: CertificateFields): Promise<Uint8Array> {
  const tbsCertificate = new TBSCertificate({
    version: fields.version,
    serialNumber: Uint8Array.of(1).buffer,
    signature: new AlgorithmIdentifier({ algorithm: fields.innerAlgorithm }),
    issuer: nameOf(fields.issuer),
    validity: new Validity({ notBefore: new Date(fields.from), notAfter: new Date(fields.until) }),
    subject: nameOf(fields.subject),
    subjectPublicKeyInfo: AsnConvert.parse(fields.keys.spki, SubjectPublicKeyInfo),
    extensions: new Extensions([
      pathLengthExtension(fields.ca, fields.pathLength),
      extension('2.5.29.15', true, new KeyUsage(fields.usage)),
      ...fields.more,
    ]),
  });
  const raw = await sign(fields.issuerKeys, new Uint8Array(AsnConvert.serialize(tbsCertificate)), fields.hash);
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm: fields.outerAlgorithm }),
    signatureValue: new Uint8Array(fields.signature(derSignature(raw))).buffer,
  });
  return fields.whole(new Uint8Array(AsnConvert.serialize(certificate)));
}

export const at = new Date('2026-01-01T12:00:00Z');
const levels = ['root', 'region', 'zone', 'instance', 'leaf'] as const;
export type Level = (typeof levels)[number];
export type Changes = Partial<Record<Level, Partial<CertificateFields>>>;

const keys = Object.fromEntries(
  await Promise.all(levels.map(async (level) => [level, await makeKeys()] as const)),
) as Record<Level, Keys>;

/** Certificates from root to leaf, as Nitro has them but for `changes`. */
export async function makeChain(changes: Changes = {}): Promise<Uint8Array[]> {
  const chain: Uint8Array[] = [];
  for (const [index, level] of levels.entries()) {
    const issuer = levels[Math.max(0, index - 1)] ?? 'root';
    const ca = level !== 'leaf';
    chain.push(
      await makeCertificate({
        subject: level,
        issuer,
        keys: keys[level],
        issuerKeys: keys[issuer],
        ca,
        ...(ca && level !== 'root' && { pathLength: 3 - index }),
        usage: ca ? KeyUsageFlags.keyCertSign : KeyUsageFlags.digitalSignature,
        from: '2026-01-01T11:00:00Z',
        until: '2026-01-01T14:00:00Z',
        version: Version.v3,
        innerAlgorithm: ECDSA_SHA384,
        outerAlgorithm: ECDSA_SHA384,
        more: [],
        signature: (der) => der,
        whole: (der) => der,
        ...changes[level],
      }),
    );
  }
  return chain;
}

/** A document of a chain, whose fields are those of a real one but for `changes`; undefined leaves a field out. */
export async function makeDocument(
  chain: readonly Uint8Array[],
  changes: Record<string, Cbor | undefined> = {},
  signer: Keys = keys.leaf,
): Promise<Uint8Array> {
  const fields: Record<string, Cbor | undefined> = {
    module_id: 'i-0123456789abcdef0-enc0123456789abcdef',
    digest: 'SHA384',
    timestamp: at.getTime() - 60_000,
    pcrs: new Map(Array.from({ length: 16 }, (_, index) => [index, new Uint8Array(48).fill(index + 1)])),
    certificate: chain.at(-1) ?? new Uint8Array(),
    cabundle: chain.slice(0, -1),
    public_key: null,
    user_data: null,
    nonce: null,
    ...changes,
  };
  return seal(
    encode(new Map(Object.entries(fields).filter((entry): entry is [string, Cbor] => entry[1] !== undefined))),
    signer,
  );
}

/** COSE_Sign1 of a payload. */
export async function seal(payload: Uint8Array, signer: Keys = keys.leaf): Promise<Uint8Array> {
  const header = Buffer.from('a1013822', 'hex');
  const signature = await sign(signer, encode(['Signature1', header, new Uint8Array(), payload]));
  return new Uint8Array(encode([header, new Map(), payload, signature]));
}
