import { X509Certificate } from 'node:crypto';
import type { Nsm } from '@enclaver/attestation/nsm';
import type { Manifest } from '@enclaver/manifest';
import type { VsockTransport } from '@enclaver/vsock';
import { findInRoot } from '../bootstrap/in-root.ts';
import { readBounded } from '../bootstrap/read-bounded.ts';
import { OwnDialer } from '../egress/own-dialer.ts';
import { OwnHttp } from '../egress/own-http.ts';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { OdynError } from '../odyn-error.ts';
import { CredentialCache } from './credentials/credential-cache.ts';
import { MetadataService } from './credentials/metadata-service.ts';
import { credentialDestinations, credentialSource, type Environment, metadataUrl } from './credentials/source.ts';
import { endpointOptions, kmsDestinations } from './endpoints.ts';
import { KmsClient } from './kms-client.ts';
import { KmsSender } from './kms-sender.ts';
import { Recipient } from './recipient.ts';

export interface KmsOptions {
  readonly transport: VsockTransport;
  readonly nsm: Nsm;
  /** Of the image: measured, so that what AWS's variables say can be believed. */
  readonly env: Environment;
  readonly manifest: Manifest;
  /** The app's file tree. */
  readonly root: string;
  readonly log: OdynLog;
}

/** odyn's way to KMS: credentials, connections, the key pair that answers are sealed for, and a client over them. */
export class Kms {
  readonly client: KmsClient;
  readonly sender: KmsSender;
  readonly recipient: Recipient;
  readonly credentials: CredentialCache;
  readonly #http: OwnHttp;

  private constructor(parts: Pick<Kms, 'client' | 'sender' | 'recipient' | 'credentials'>, http: OwnHttp) {
    this.client = parts.client;
    this.sender = parts.sender;
    this.recipient = parts.recipient;
    this.credentials = parts.credentials;
    this.#http = http;
  }

  /** @throws OdynError KMS_FILE, FILE_UNREADABLE; KmsError KMS_CREDENTIALS for an environment that cannot be meant */
  static async open({ transport, nsm, env, manifest, root, log }: KmsOptions): Promise<Kms> {
    const { endpoints: overrides = {}, caFile } = manifest.kmsProxy ?? {};
    const endpoints = endpointOptions(env, overrides);
    const dialer = new OwnDialer(transport, [...kmsDestinations(endpoints), ...credentialDestinations(env)]);
    const http = new OwnHttp(dialer, { ca: caFile === undefined ? undefined : readAuthorities(root, caFile) });
    const readFile = (path: string): string => readImageFile(root, path, limits.credentialsBytes);
    const credentials = new CredentialCache(credentialSource(env, http, readFile), log);
    const sender = new KmsSender({ http, credentials, endpoints });
    const recipient = await Recipient.create(nsm);
    const region = async (): Promise<string> =>
      env.AWS_REGION || env.AWS_DEFAULT_REGION || new MetadataService(http, metadataUrl(env)).region();
    return new Kms({ client: new KmsClient({ sender, recipient, region }), sender, recipient, credentials }, http);
  }

  close(): void {
    this.#http.close();
  }
}

/** @throws OdynError KMS_FILE */
function readAuthorities(root: string, path: string): string {
  const pem = readImageFile(root, path, limits.kmsCaBytes);
  try {
    new X509Certificate(pem);
    return pem;
  } catch (cause) {
    throw new OdynError('KMS_FILE', `${path} (kms_proxy.ca_file) holds no certificate in PEM form`, { cause });
  }
}

/** @throws OdynError KMS_FILE, FILE_UNREADABLE */
function readImageFile(root: string, path: string, maxBytes: number): string {
  const found = findInRoot(root, path);
  if (found === undefined) {
    throw new OdynError('KMS_FILE', `the image has no ${path}`, {
      remedy: 'put the file into the image, or correct the path in enclaver.yaml',
    });
  }
  return readBounded(found, maxBytes).toString('utf8');
}
