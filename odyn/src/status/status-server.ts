import type { VsockStream, VsockTransport } from '@enclaver/vsock';
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
import { PortClients } from '../port-clients.ts';
import type { StatusBoard } from './status-board.ts';

/** Serves the state on vsock 17000 (`libs/wire`, status.ts) and takes the parent's requests from the same connections. */
export class StatusServer {
  readonly #board: StatusBoard;
  readonly #log: OdynLog;
  readonly #onRequest: (request: ControlRequest) => void;
  readonly #lastWord = new LastWord(limits.lastWordLingerMs);
  #clients: PortClients | undefined;

  private constructor(board: StatusBoard, log: OdynLog, onRequest: (request: ControlRequest) => void) {
    this.#board = board;
    this.#log = log;
    this.#onRequest = onRequest;
    board.onChange = (status) => {
      for (const client of this.#clients ?? []) this.#send(client, status);
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
    server.#clients = await PortClients.listen(transport, {
      port: STATUS_PORT,
      name: 'status',
      max: limits.statusClients,
      log,
      onClient: (stream) => server.#greet(stream),
    });
    return server;
  }

  /** Settled once a reader has had the final state. */
  get finished(): Promise<void> {
    return this.#lastWord.done;
  }

  async close(): Promise<void> {
    await this.#clients?.close();
  }

  #greet(stream: VsockStream): void {
    const decoder = new ControlDecoder();
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
}
