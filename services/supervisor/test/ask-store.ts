import { connect, type Socket } from 'node:net';
import { encodeStore, STORE_PORT, type StoreReply, StoreReplyDecoder, type StoreRequest } from '@enclaver/wire';

/** A guest's connection to the store; `path`: that of its vsock. */
export function dialStore(path: string): Socket {
  return connect(`${path}_${STORE_PORT}`).on('error', () => {});
}

/** What a guest is answered. */
export async function askStore(path: string, request: StoreRequest): Promise<StoreReply> {
  const socket = dialStore(path);
  socket.write(encodeStore(request));
  const decoder = new StoreReplyDecoder();
  for await (const chunk of socket) {
    const decoded = decoder.push(chunk);
    if (decoded !== undefined) return decoded.message;
  }
  throw new Error('closed without an answer');
}
