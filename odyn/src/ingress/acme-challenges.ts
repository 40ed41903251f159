import type { Duplex } from 'node:stream';
import { createServer, type TLSSocket } from 'node:tls';

import { limits } from '../limits.ts';
import type { CertificateSource } from './certificates/source.ts';
import { HelloReader, type ReadHello } from './client-hello.ts';

/** Protocol id of TLS-ALPN-01: RFC 8737, section 6.2. */
const ACME_TLS = 'acme-tls/1';

/**
 * Answers validators of TLS-ALPN-01 beside a port's own server: they need another certificate for the same name, and OpenSSL
 * chooses the certificate before anybody sees which protocols a client offers. So the client's first message is read ahead,
 * and only while a name is being validated.
 */
export class AcmeChallenges {
  readonly #sources: readonly CertificateSource[];

  constructor(sources: readonly CertificateSource[]) {
    this.#sources = sources;
  }

  /** Takes the connection of a validator; every other one is given to `serve` from its first byte. */
  sift(stream: Duplex, serve: () => void): void {
    const pending = this.#sources.filter(({ challenges }) => (challenges?.size ?? 0) > 0);
    if (pending.length === 0) {
      serve();
      return;
    }
    // Of a validator's connection this is all the time: its handshake is in it, and its end
    const timer = setTimeout(() => stream.destroy(), limits.tlsHandshakeMs);
    stream.once('close', () => clearTimeout(timer));
    const reader = new HelloReader();
    const pieces: Buffer[] = [];
    const onReadable = (): void => {
      let hello: ReadHello = 'incomplete';
      for (let piece = stream.read(); piece !== null; piece = stream.read()) {
        pieces.push(piece);
        if (hello === 'incomplete') hello = reader.push(piece);
      }
      if (hello === 'incomplete' && !stream.readableEnded) return;
      stream.off('readable', onReadable);
      stream.unshift(Buffer.concat(pieces));
      if (typeof hello === 'object' && hello.protocols.includes(ACME_TLS)) {
        this.#answer(stream, hello.name);
        return;
      }
      clearTimeout(timer);
      serve();
    };
    stream.on('readable', onReadable);
  }

  /** RFC 8737, section 3: the handshake is all there is. */
  #answer(stream: Duplex, name: string | undefined): void {
    const pair = name === undefined ? undefined : this.#find(name.toLowerCase());
    if (pair === undefined) {
      stream.destroy();
      return;
    }
    const server = createServer({
      key: pair.key,
      cert: pair.certificates,
      minVersion: 'TLSv1.2',
      ALPNProtocols: [ACME_TLS],
    });
    const end = (socket: TLSSocket): void => void socket.end();
    server.on('secureConnection', end).on('tlsClientError', (_error, socket) => socket.destroy());
    server.emit('connection', stream);
  }

  #find(name: string): ReturnType<NonNullable<CertificateSource['challenges']>['get']> {
    for (const { challenges } of this.#sources) {
      const pair = challenges?.get(name);
      if (pair !== undefined) return pair;
    }
    return undefined;
  }
}
