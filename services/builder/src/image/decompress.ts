import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';
import type { Blob } from './blob-store.ts';
import { isSkippable, zstdFrames } from './zstd-frames.ts';

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const MAGIC_BYTES = 4;

type Compression = 'gzip' | 'zstd' | 'none';

/** Known by the first bytes: media types of real images do not always say what is there, and archives have none. */
function compressionOf(first: Buffer): Compression {
  if (first.subarray(0, GZIP.length).equals(GZIP)) return 'gzip';
  if (first.subarray(0, ZSTD.length).equals(ZSTD) || isSkippable(first)) return 'zstd';
  return 'none';
}

/** Whether a stored layer is a tar archive as it is. */
export async function isPlain(blob: Blob): Promise<boolean> {
  const first = Buffer.alloc(Math.min(MAGIC_BYTES, blob.size));
  await blob.file.read(first, 0, first.length, blob.offset);
  return compressionOf(first) === 'none';
}

/** The plain bytes of a layer. Errors of the source pass through; else IMAGE_TRUNCATED, IMAGE_INVALID. */
export async function* decompress(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  let first: Buffer = Buffer.alloc(0);
  let next = await chunks.next();
  while (next.done !== true && first.length < MAGIC_BYTES) {
    first = Buffer.concat([first, next.value]);
    next = await chunks.next();
  }
  const rest = (async function* () {
    if (first.length > 0) yield first;
    for (; next.done !== true; next = await chunks.next()) yield next.value;
  })();
  const compression = compressionOf(first);
  if (compression === 'none') {
    yield* rest;
    return;
  }
  const options = { chunkSize: limits.readBytes / 4 };
  const engine = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
  // As objects, so that pieces are not joined again
  const feeding = pipeline(Readable.from(compression === 'zstd' ? zstdFrames(rest) : rest), engine);
  // Its error destroys the engine, and so reaches the loop below, which throws it
  feeding.catch(() => engine.destroy());
  try {
    for await (const chunk of engine) yield chunk as Buffer;
  } catch (error) {
    throw zlibError(error, compression);
  } finally {
    engine.destroy();
    await chunks.return?.();
  }
  await feeding;
}

function zlibError(error: unknown, compression: Compression): unknown {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !/^(Z_|ZSTD_|ERR_ZLIB|ERR_ZSTD)/.test(code)) return error;
  if (code === 'Z_BUF_ERROR') {
    return new BuilderError('IMAGE_TRUNCATED', `a layer's ${compression} stream ends early`, {
      remedy: 'export or fetch the image again',
      cause: error,
    });
  }
  return new BuilderError('IMAGE_INVALID', `a layer's ${compression} stream is damaged: ${(error as Error).message}`, {
    remedy: 'export or fetch the image again',
    cause: error,
  });
}
