import { type Blob, BlobStoreFull, type Bus } from '@enclaver/bus';
import type { VsockStream, VsockTransport } from '@enclaver/vsock';
import {
  encodeStore,
  STORE_PORT,
  type StoreReply,
  type StoreRequest,
  StoreRequestDecoder,
  WireError,
} from '@enclaver/wire';
import type { Logger } from 'pino';
import type { Limits } from '../limits.ts';

export interface StoreServerOptions {
  bus: Pick<Bus, 'blobs'>;
  /** Whose values these are; other owners' cannot be named. */
  owner: string;
  limits: Limits;
  logger: Logger;
}

/**
 * Keeps on the bus what one enclave has sealed (`libs/wire`, store.ts). What it holds is opaque here, and the enclave does not
 * trust it either: so it is kept simple, and bounded against an enclave that asks without end.
 */
export class StoreServer {
  readonly #options: StoreServerOptions;
  readonly #open = new Set<VsockStream>();
  #listener: { close(): Promise<void> } | undefined;

  private constructor(options: StoreServerOptions) {
    this.#options = options;
  }

  /** @throws VsockError */
  static async listen(transport: VsockTransport, options: StoreServerOptions): Promise<StoreServer> {
    const server = new StoreServer(options);
    server.#listener = await transport.listen(STORE_PORT, (stream) => server.#accept(stream));
    return server;
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    for (const stream of this.#open) stream.destroy();
  }

  #accept(stream: VsockStream): void {
    const { limits, logger } = this.#options;
    stream.on('error', () => stream.destroy());
    if (this.#open.size >= limits.storeClients) {
      stream.destroy();
      return;
    }
    this.#open.add(stream);
    const timer = setTimeout(() => stream.destroy(), limits.storeMs);
    stream.once('close', () => {
      clearTimeout(timer);
      this.#open.delete(stream);
    });
    const decoder = new StoreRequestDecoder();
    const onData = (chunk: Buffer): void => {
      try {
        const decoded = decoder.push(chunk);
        if (decoded === undefined) return;
        stream.off('data', onData);
        void this.#answer(decoded.message).then((reply) => stream.end(encodeStore(reply)));
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        logger.warn({ err: error }, 'store request that is none');
        stream.destroy();
      }
    };
    stream.on('data', onData);
  }

  async #answer(request: StoreRequest): Promise<StoreReply> {
    const { bus, owner, logger } = this.#options;
    try {
      const blobs = await bus.blobs();
      if (request.op === 'get') return found(await blobs.get(owner, request.key), request.known);
      const revision = await blobs.put(owner, request.key, Buffer.from(request.value, 'base64'), request.expected);
      logger.info(
        { key: request.key, revision },
        revision === undefined
          ? 'value of an enclave not stored: another writer was first'
          : 'value of an enclave stored',
      );
      return revision === undefined ? { result: 'conflict' } : { result: 'stored', revision };
    } catch (error) {
      logger.error({ err: error, key: request.key }, 'store request failed');
      const message = error instanceof BlobStoreFull ? error.message : 'the bus of the parent does not store it';
      return { result: 'failed', message };
    }
  }
}

function found(blob: Blob | undefined, known: number | undefined): StoreReply {
  if (blob === undefined) return { result: 'missing' };
  if (blob.revision === known) return { result: 'unchanged' };
  return { result: 'found', value: blob.value.toString('base64'), revision: blob.revision };
}
