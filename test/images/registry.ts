import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf, type ImageSpec, ociFiles } from './image.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** The reading half of a registry (OCI distribution specification) on loopback, where engines take plain HTTP. */
export class Registry implements AsyncDisposable {
  readonly #server: Server;
  readonly #blobs = new Map<string, Buffer>();
  readonly #tags = new Map<string, Buffer>();
  /** Tags and digests of manifests that were asked for. */
  readonly asked: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Registry> {
    const server = createServer((request, response) => registry.#answer(request.url ?? '', response));
    const registry = new Registry(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return registry;
  }

  /** `127.0.0.1:PORT` */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Puts an image at `NAME:TAG`. */
  push(name: string, image: ImageSpec): void {
    for (const [path, bytes] of ociFiles([{ image }])) {
      if (!path.startsWith('blobs/')) continue;
      this.#blobs.set(digestOf(bytes), bytes);
      if (bytes.includes(`"mediaType":"${MANIFEST}"`)) this.#tags.set(name, bytes);
    }
  }

  #answer(url: string, response: ServerResponse): void {
    const [, name = '', kind, reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/(.+)$/.exec(url) ?? [];
    if (kind === 'manifests') this.asked.push(reference);
    const bytes =
      url === '/v2/' ? Buffer.from('{}') : (this.#blobs.get(reference) ?? this.#tags.get(`${name}:${reference}`));
    if (bytes === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
      return;
    }
    response.writeHead(200, {
      'content-type': kind === 'manifests' ? MANIFEST : 'application/octet-stream',
      'content-length': bytes.length,
      'docker-content-digest': digestOf(bytes),
    });
    response.end(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
