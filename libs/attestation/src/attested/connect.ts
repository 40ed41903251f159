import { Agent, type AgentOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { AttestationError } from '../errors.ts';
import {
  type AttestedCertificate,
  type VerifyCertificateOptions,
  verifyAttestedCertificate,
} from './verify-certificate.ts';

/** As for `verifyAttestedCertificate`, at the instant of each connection. */
export type AttestedPeer = Omit<VerifyCertificateOptions, 'at'>;

export interface AttestedConnection extends AttestedCertificate {
  /** Nothing has been written to it yet. */
  socket: TLSSocket;
}

/**
 * Connects to an enclave with attested TLS. The handshake and the checks must be over within `timeoutMs`. Certificate authorities
 * and names in the certificate are not looked at: what counts is which image holds the key.
 *
 * Rejects with AttestationError as `verifyAttestedCertificate` does, and with the errors of Node's TLS.
 */
export async function connectAttested(
  target: ConnectionOptions,
  peer: AttestedPeer,
  { timeoutMs = 30_000 }: { timeoutMs?: number } = {},
): Promise<AttestedConnection> {
  const { host = '' } = target;
  const socket = connect({
    ...(host === '' || isIP(host) !== 0 ? {} : { servername: host }),
    ...target,
    // An earlier session would prove nothing about the certificate that is shown now
    session: undefined,
    rejectUnauthorized: false,
  });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  // It may be nobody who waits for it any more
  failed.catch(() => {});
  const timer = setTimeout(() => socket.destroy(new Error(`no TLS within ${timeoutMs} ms`)), timeoutMs);
  socket.on('error', reject);
  socket.once('close', () => reject(new Error('the connection was closed in its handshake')));
  try {
    await Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), failed]);
    const attested = await Promise.race([verifyPeer(socket, peer), failed]);
    return { ...attested, socket };
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    socket.off('error', reject);
  }
}

async function verifyPeer(socket: TLSSocket, peer: AttestedPeer): Promise<AttestedCertificate> {
  // Not getPeerX509Certificate(), whose second call gives nothing, should the caller make it
  const { raw } = socket.getPeerCertificate() as { raw?: Buffer };
  if (raw === undefined) {
    throw new AttestationError('ATTESTATION_TLS_CERTIFICATE', 'the other side has shown no certificate');
  }
  return verifyAttestedCertificate(new Uint8Array(raw), { ...peer, at: new Date() });
}

/** An agent for `node:https`, each of whose connections is checked before a request goes over it. */
export class AttestedAgent extends Agent {
  readonly #peer: AttestedPeer;

  constructor(peer: AttestedPeer, options: AgentOptions = {}) {
    super({ ...options, maxCachedSessions: 0 });
    this.#peer = peer;
  }

  override createConnection(
    options: ConnectionOptions,
    connected?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    connectAttested(options, this.#peer).then(
      ({ socket }) => connected?.(null, socket),
      // Node's types want a stream even beside an error
      (error: Error) => connected?.(error, undefined as unknown as Duplex),
    );
  }
}
