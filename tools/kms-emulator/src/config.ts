import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { SYMMETRIC } from './key.ts';
import type { KeyStore } from './key-store.ts';
import type { KmsEmulatorOptions } from './kms-emulator.ts';
import { limits } from './limits.ts';
import { selfMadePair, type TlsPair } from './tls-pair.ts';

/** A configuration that cannot be used: which field, and why. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'EMULATOR_CONFIG_INVALID';
  readonly remedy = 'docs/kms-emulator.md has every field and an example';
}

const anyKey = {
  id: z.string().optional(),
  alias: z
    .string()
    .regex(/^alias\/[A-Za-z0-9/_-]{1,250}$/)
    .optional(),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/)
    .optional(),
  state: z.enum(['Enabled', 'Disabled', 'PendingDeletion']).optional(),
  policy: z.unknown().optional(),
};

const key = z.discriminatedUnion('spec', [
  z.strictObject({
    spec: z.literal(SYMMETRIC),
    material: z
      .base64()
      .transform((text) => Buffer.from(text, 'base64'))
      .optional(),
    ...anyKey,
  }),
  z.strictObject({
    spec: z.enum(['ECC_NIST_P256', 'ECC_NIST_P384', 'ECC_NIST_P521', 'ECC_SECG_P256K1']),
    usage: z.enum(['SIGN_VERIFY', 'KEY_AGREEMENT']).optional(),
    ...anyKey,
  }),
]);

const schema = z.strictObject({
  port: z.int().min(0).max(65_535).default(0),
  credentials: z
    .array(
      z.strictObject({
        accessKeyId: z.string().regex(/^\w{4,128}$/),
        secretAccessKey: z.string().min(1),
        sessionToken: z.string().optional(),
        principal: z
          .string()
          .regex(/^arn:[a-z-]+:(?:iam|sts)::\d{12}:\S+$/)
          .optional(),
      }),
    )
    .min(1),
  roots: z.array(z.string()).default([]),
  tls: z.union([z.literal('self-made'), z.strictObject({ key: z.string(), cert: z.string() })]).optional(),
  keys: z.array(key).max(limits.keys),
});

export interface EmulatorConfig {
  options: KmsEmulatorOptions;
  /** Makes the keys. Throws ConfigError for one that cannot be made. */
  addKeys(store: KeyStore): void;
}

/** Reads a configuration: JSON; the files of `roots` are PEM, relative to it. Throws ConfigError, and what reading a file throws. */
export async function readConfig(path: string): Promise<EmulatorConfig> {
  const result = schema.safeParse(parseJson(await read(path)));
  if (!result.success) throw new ConfigError(`${path} is no configuration: ${z.prettifyError(result.error)}`);
  const { keys, roots: files, tls: pair, ...options } = result.data;
  const beside = (file: string): string => resolve(dirname(path), file);
  const roots = await Promise.all(files.map((file) => readRoot(beside(file))));
  const tls = pair === undefined || pair === 'self-made' ? pair && selfMadePair() : await readPair(pair, beside);
  return {
    options: { ...options, roots, tls },
    addKeys: (store) => {
      for (const [index, each] of keys.entries()) {
        try {
          if (each.spec === SYMMETRIC) store.createSymmetric(each);
          else store.create(each);
        } catch (cause) {
          throw new ConfigError(`keys[${index}] cannot be made: ${cause instanceof Error ? cause.message : cause}`, {
            cause,
          });
        }
      }
    },
  };
}

async function read(path: string): Promise<string> {
  const { size } = await stat(path);
  if (size > limits.configBytes)
    throw new ConfigError(`${path} has ${size} bytes; at most ${limits.configBytes} are read`);
  return readFile(path, 'utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigError('the configuration is not JSON', { cause });
  }
}

async function readPair(files: TlsPair, beside: (file: string) => string): Promise<TlsPair> {
  const [key, cert] = await Promise.all([read(beside(files.key)), read(beside(files.cert))]);
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { key, cert };
  } catch {
    // What a parser says of a key file may quote it
    throw new ConfigError('the key or certificate of "tls" is not in PEM form');
  }
  throw new ConfigError('the certificate of "tls" is not of its key');
}

async function readRoot(path: string): Promise<Uint8Array> {
  const pem = await read(path);
  try {
    return new X509Certificate(pem).raw;
  } catch (cause) {
    throw new ConfigError(`${path} has no certificate in PEM`, { cause });
  }
}
