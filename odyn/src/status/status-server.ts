import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import {
  ControlDecoder,
  type ControlRequest,
  type EnclaveStatus,
  encodeStatus,
  isFinal,
  STATUS_PORT,
  WireError,
} from '@enclaver/wire';
import { LastWord } from '../last-word.ts';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import type { StatusBoard } from './status-board.ts';

/** Serves the state on vsock 17000 (`libs/wire`, status.ts) and takes the parent's requests from the same connections. */
export class StatusServer {
  readonly #board: StatusBoard;
  readonly #log: OdynLog;
  readonly #onRequest: (request: ControlRequest) => void;
  readonly #clients = new Set<VsockStream>();
  readonly #lastWord = new LastWord(limits.lastWordLingerMs);
  #listener: { close(): Promise<void> } | undefined;

  private constructor(board: StatusBoard, log: OdynLog, onRequest: (request: ControlRequest) => void) {
    this.#board = board;
    this.#log = log;
    this.#onRequest = onRequest;
    board.onChange = (status) => {
      for (const client of this.#clients) this.#send(client, status);
    };
  }

  /** @throws VsockError */
  static async listen(
    transport: VsockTransport,
    board: StatusBoard,
    log: OdynLog,
    onRequest: (request: ControlRequest) => void,
  ): Promise<StatusServer> {
    const server = new StatusServer(board, log, onRequest);
    server.#listener = await transport.listen(STATUS_PORT, (stream) => server.#accept(stream));
    return server;
  }

  /** Settled once a reader has had the final state. */
  get finished(): Promise<void> {
    return this.#lastWord.done;
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    for (const client of this.#clients) client.destroy();
  }

  #accept(stream: VsockStream): void {
    if (this.#clients.size >= limits.statusClients) {
      this.#log.warn('status client refused', { clients: this.#clients.size });
      stream.destroy();
      return;
    }
    this.#clients.add(stream);
    const decoder = new ControlDecoder();
    stream.on('error', (error) => this.#onStreamError(error));
    stream.on('close', () => this.#clients.delete(stream));
    stream.on('end', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => this.#receive(stream, decoder, chunk));
    this.#send(stream, this.#board.current);
  }

  #receive(stream: VsockStream, decoder: ControlDecoder, chunk: Buffer): void {
    let requests: ControlRequest[];
    try {
      requests = decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#log.warn('status client cut', { reason: error.message });
      stream.destroy();
      return;
    }
    for (const request of requests) this.#onRequest(request);
  }

  #send(stream: VsockStream, status: EnclaveStatus): void {
    if (isFinal(status)) {
      this.#lastWord.send(stream, encodeStatus(status));
      return;
    }
    stream.write(encodeStatus(status));
    if (stream.writableLength > limits.statusBacklogBytes) {
      this.#log.warn('status client cut', { reason: 'it does not read' });
      stream.destroy();
    }
  }

  /** A client that goes away is nothing to report; what else there is, is. */
  #onStreamError(error: Error): void {
    if (error instanceof VsockError) this.#log.debug('status client lost', { reason: error.message });
    else this.#log.warn('status client failed', { reason: error.message });
  }
}
