import { X509Certificate } from 'node:crypto';
import type { Nsm } from '@enclaver/attestation/nsm';
import type { Manifest } from '@enclaver/manifest';
import type { VsockTransport } from '@enclaver/vsock';
import { findInRoot } from '../bootstrap/in-root.ts';
import { readBounded } from '../bootstrap/read-bounded.ts';
import { OwnDialer } from '../egress/own-dialer.ts';
import { OwnHttp } from '../egress/own-http.ts';
import type { KmsEnvironment } from '../launcher/environment.ts';
import { limits } from '../limits.ts';
import type { OdynLog } from '../logs/odyn-log.ts';
import { OdynError } from '../odyn-error.ts';
import { findsNoCredentials, reachesCredentials } from './app-credentials.ts';
import { makeLocalCredentials, Signers } from './caller/signers.ts';
import { ClockWatch } from './clock-watch.ts';
import { CredentialCache } from './credentials/credential-cache.ts';
import type { Credentials } from './credentials/credentials.ts';
import { MetadataService } from './credentials/metadata-service.ts';
import {
  credentialDestinations,
  credentialSource,
  type Environment,
  imageCredentials,
  metadataUrl,
} from './credentials/source.ts';
import { endpointOptions, kmsDestinations } from './endpoints.ts';
import { KmsClient } from './kms-client.ts';
import { KmsSender } from './kms-sender.ts';
import { type KmsCounts, KmsProxy } from './proxy/kms-proxy.ts';
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

/** odyn's way to KMS: credentials, connections, the key pair that answers are sealed for; a client and a proxy over them. */
export class Kms {
  readonly client: KmsClient;
  /** What the app may sign with when it has nothing else. */
  readonly #local: Credentials = makeLocalCredentials();
  readonly #http: OwnHttp;
  readonly #sender: KmsSender;
  readonly #recipient: Recipient;
  readonly #credentials: CredentialCache;
  readonly #options: KmsOptions;
  #proxy: KmsProxy | undefined;

  private constructor(options: KmsOptions, http: OwnHttp, credentials: CredentialCache, recipient: Recipient) {
    const { env, manifest } = options;
    this.#options = options;
    this.#http = http;
    this.#credentials = credentials;
    this.#recipient = recipient;
    const endpoints = endpointOptions(env, manifest.kmsProxy?.endpoints ?? {});
    this.#sender = new KmsSender({ http, credentials, endpoints });
    const region = async (): Promise<string> =>
      env.AWS_REGION || env.AWS_DEFAULT_REGION || new MetadataService(http, metadataUrl(env)).region();
    this.client = new KmsClient({ sender: this.#sender, recipient, region });
  }

  /**
   * With the proxy where the manifest has one.
   * @throws OdynError KMS_FILE, FILE_UNREADABLE; KmsError KMS_CREDENTIALS for an environment that cannot be meant
   */
  static async open(options: KmsOptions): Promise<Kms> {
    const { transport, nsm, env, manifest, root, log } = options;
    const { endpoints = {}, caFile } = manifest.kmsProxy ?? {};
    const destinations = [...kmsDestinations(endpointOptions(env, endpoints)), ...credentialDestinations(env)];
    const ca = caFile === undefined ? undefined : readAuthorities(root, caFile);
    const http = new OwnHttp(new OwnDialer(transport, destinations), { ca });
    const readFile = (path: string): string => readImageFile(root, path, limits.credentialsBytes);
    const credentials = new CredentialCache(credentialSource(env, http, readFile), log);
    const kms = new Kms(options, http, credentials, await Recipient.create(nsm));
    if (manifest.kmsProxy !== undefined) await kms.#openProxy(manifest.kmsProxy.listenPort);
    return kms;
  }

  /**
   * What the app is told of the proxy, where there is one.
   * @param home of the app's user, in its own root
   */
  forApp(home: string): KmsEnvironment | undefined {
    const { env, manifest, root } = this.#options;
    if (manifest.kmsProxy === undefined) return undefined;
    const hasFile = (name: string): boolean => findInRoot(root, `${env.HOME ?? home}/${name}`) !== undefined;
    return {
      port: manifest.kmsProxy.listenPort,
      credentials: this.#local,
      forAllOfAws: findsNoCredentials(env, manifest.egress, hasFile),
    };
  }

  counts(): KmsCounts | undefined {
    return this.#proxy && { ...this.#proxy.counts };
  }

  async close(): Promise<void> {
    await this.#proxy?.close();
    this.#http.close();
  }

  async #openProxy(port: number): Promise<void> {
    const { env, manifest, log } = this.#options;
    const image = imageCredentials(env);
    const fetched = reachesCredentials(env, manifest.egress) ? this.#credentials : undefined;
    this.#proxy = await KmsProxy.open({
      port,
      sender: this.#sender,
      recipient: this.#recipient,
      credentials: this.#credentials,
      clock: new ClockWatch(log),
      signers: new Signers(image === undefined ? [this.#local] : [this.#local, image], fetched),
      log,
    });
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
