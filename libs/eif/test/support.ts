import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EifContents, EifError, type EifErrorCode } from '../src/index.ts';

export interface ValidCase {
  name: string;
  eif_b64: string;
  bytes: number;
  sha256: string;
  header: {
    version: number;
    flags: number;
    arch: 'x86_64' | 'aarch64';
    default_mem: number;
    default_cpus: number;
    num_sections: number;
    crc32_hex: string;
  };
  sections: { type: string; offset: number; data_size: number; data_sha256: string }[];
  measurements: { PCR0: string; PCR1: string; PCR2: string; PCR8?: string };
  signed: null | { certificate_pem: string; private_key_pkcs8_pem: string; signature_valid: boolean };
}

export interface ValidVectors {
  components_b64: Record<'kernel' | 'ramdisk0' | 'ramdisk1' | 'ramdisk2', string>;
  cmdline_x86_64: string;
  cmdline_aarch64: string;
  cases: ValidCase[];
}

export interface InvalidVectors {
  cases: { name: string; eif_b64: string; failing_check: string }[];
}

export async function vectors<Shape>(name: string): Promise<Shape> {
  return JSON.parse(await readFile(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8'));
}

/** A fresh folder for one test, removed when the scope ends. */
export async function tempFolder(): Promise<AsyncDisposable & { path: string; file(name: string): string }> {
  const path = await mkdtemp(join(tmpdir(), 'eif-test-'));
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
}

export function refusal(code: EifErrorCode, text?: RegExp): (error: unknown) => true {
  return (error) => {
    if (!(error instanceof EifError)) throw error;
    if (error.code !== code) throw new Error(`expected ${code}, got ${error.code}: ${error.message}`);
    if (text !== undefined && !text.test(error.message))
      throw new Error(`message does not match ${text}: ${error.message}`);
    return true;
  };
}

export async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

/** The bytes in pieces of at most `size`. */
export function* inPieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export function smallImage(changes: Partial<EifContents> = {}): EifContents {
  return {
    arch: 'x86_64',
    kernel: Buffer.from('kernel'),
    cmdline: 'reboot=k console=ttyS0',
    ramdisks: [Buffer.from('ramdisk0'), Buffer.from('ramdisk1')],
    metadata: {
      ImageName: 'small',
      ImageVersion: '1',
      BuildMetadata: {
        BuildTime: '2026-01-01T00:00:00+00:00',
        BuildTool: 'test',
        BuildToolVersion: '0',
        OperatingSystem: 'Linux',
        KernelVersion: '6.12',
      },
      DockerInfo: null,
      CustomMetadata: null,
    },
    ...changes,
  };
}
