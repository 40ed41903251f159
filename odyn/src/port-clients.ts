import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import type { OdynLog } from './logs/odyn-log.ts';

export interface PortClientsOptions {
  port: number;
  /** What is served, for the log. */
  name: string;
  /** More are closed at once. */
  max: number;
  log: OdynLog;
  onClient: (stream: VsockStream) => void;
}

/** The parent's connections to one of odyn's own ports: counted, bounded, gone when they end or the port closes. */
export class PortClients implements Iterable<VsockStream> {
  readonly #options: PortClientsOptions;
  readonly #streams = new Set<VsockStream>();
  #listener: { close(): Promise<void> } | undefined;

  private constructor(options: PortClientsOptions) {
    this.#options = options;
  }

  /** @throws VsockError */
  static async listen(transport: VsockTransport, options: PortClientsOptions): Promise<PortClients> {
    const clients = new PortClients(options);
    clients.#listener = await transport.listen(options.port, (stream) => clients.#accept(stream));
    return clients;
  }

  [Symbol.iterator](): Iterator<VsockStream> {
    return this.#streams[Symbol.iterator]();
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    for (const stream of this.#streams) stream.destroy();
  }

  #accept(stream: VsockStream): void {
    const { name, max, log, onClient } = this.#options;
    if (this.#streams.size >= max) {
      log.warn(`${name} client refused`, { clients: this.#streams.size });
      stream.destroy();
      return;
    }
    this.#streams.add(stream);
    stream.on('close', () => this.#streams.delete(stream));
    stream.on('end', () => stream.destroy());
    stream.on('error', (error) => {
      // A client that goes away is nothing to report; what else there is, is
      if (error instanceof VsockError) log.debug(`${name} client lost`, { reason: error.message });
      else log.warn(`${name} client failed`, { reason: error.message });
    });
    onClient(stream);
  }
}
