import type { Nsm } from '@enclaver/attestation/nsm';
import type { Manifest, TlsCertificate } from '@enclaver/manifest';
import type { VsockTransport } from '@enclaver/vsock';
import type { KmsClient } from '../../kms/kms-client.ts';
import type { OdynLog } from '../../logs/odyn-log.ts';
import type { KeyPair } from './key-pair.ts';

export type CertificateOf<Source extends TlsCertificate['source']> = Extract<TlsCertificate, { source: Source }>;

/** Where a key and its certificates come from. Each port has sources of its own. */
export interface CertificateSource {
  /**
   * Gives the first pair, and from then on calls `changed` with each that takes its place. The port listens meanwhile, and
   * refuses clients. Throws OdynError: the app is not started.
   */
  start(changed: (pair: KeyPair) => void): Promise<KeyPair>;
  /**
   * Names (in lower case) that are just being validated by TLS-ALPN-01 (RFC 8737), with what the validator is shown. Read at
   * each new connection.
   */
  readonly challenges?: ReadonlyMap<string, KeyPair>;
  /** No call of `changed` follows. */
  close(): void;
}

export interface SourceContext {
  /** The ingress port, for errors and the log. */
  readonly port: number;
  /** The app's file tree. */
  readonly root: string;
  readonly manifest: Manifest;
  readonly nsm?: Nsm | undefined;
  /** To and from the parent. */
  readonly transport: VsockTransport;
  /** Where the manifest needs it. */
  readonly kms?: KmsClient | undefined;
  readonly log: OdynLog;
  /** Aborted when the enclave is asked to end: nobody waits for a certificate then. */
  readonly stop?: AbortSignal | undefined;
}
