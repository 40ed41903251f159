import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import {
  encodeStore,
  STORE_PORT,
  type StoreReply,
  StoreReplyDecoder,
  type StoreRequest,
  WireError,
} from '@enclaver/wire';
import { limits } from '../limits.ts';
import { StoreError } from './store-error.ts';

/** One exchange with the parent's store: a connection, a request, a reply. */
export async function askStore(transport: VsockTransport, request: StoreRequest): Promise<StoreReply> {
  const signal = AbortSignal.timeout(limits.storeMs);
  let stream: VsockStream;
  try {
    stream = await transport.connect(STORE_PORT, { timeoutMs: limits.storeMs, signal });
  } catch (cause) {
    if (!(cause instanceof VsockError)) throw cause;
    throw unavailable(`the parent takes no connection: ${cause.message}`, cause);
  }
  try {
    stream.write(encodeStore(request));
    const reply = await readReply(stream, signal);
    if (reply.result === 'failed') throw unavailable(`the parent says: ${reply.message}`);
    return reply;
  } finally {
    stream.destroy();
  }
}

function readReply(stream: VsockStream, signal: AbortSignal): Promise<StoreReply> {
  const decoder = new StoreReplyDecoder();
  const { promise, resolve, reject } = Promise.withResolvers<StoreReply>();
  stream.on('data', (chunk: Buffer) => {
    try {
      const decoded = decoder.push(chunk);
      if (decoded !== undefined) resolve(decoded.message);
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      reject(
        new StoreError('STORE_VALUE_INVALID', `the parent's answer is not one we know: ${cause.message}`, { cause }),
      );
    }
  });
  stream.on('error', (cause) => reject(unavailable(`the parent broke off: ${cause.message}`, cause)));
  stream.on('close', () => reject(unavailable('the parent closed the connection without an answer')));
  signal.addEventListener('abort', () => reject(unavailable('the parent did not answer in time')));
  return promise;
}

function unavailable(what: string, cause?: unknown): StoreError {
  return new StoreError('STORE_UNAVAILABLE', `the store outside is not available: ${what}`, { cause });
}
