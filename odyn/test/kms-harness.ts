import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Nsm } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator } from '@enclaver/attestation/simulator';
import { KmsEmulator, type KmsEmulatorOptions, selfMadePair } from '@enclaver/kms-emulator';
import { type Manifest, parseManifest } from '@enclaver/manifest';
import { freePort } from '../../test/stack/free-port.ts';
import { Kms } from '../src/kms/kms.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { type Answerer, FakeServer } from './fake-server.ts';
import { FakeParent } from './harness.ts';

export const REGION = 'us-east-1';
export const ROLE = 'arn:aws:iam::111122223333:role/EnclaveRole';
/** Credentials of the instance, which no app is given. */
export const INSTANCE = {
  accessKeyId: 'ASIAINSTANCE00000001',
  secretAccessKey: 'of no value',
  sessionToken: 'an+example/token==',
  principal: 'arn:aws:sts::111122223333:assumed-role/EnclaveRole/i-0123456789abcdef0',
};
export const MEASUREMENTS = { PCR0: 'a'.repeat(96), PCR1: 'b'.repeat(96), PCR2: 'c'.repeat(96) };
const METADATA = '169.254.169.254';

const root = DevelopmentRoot.create();
export const pair = selfMadePair();

/** The instance's metadata service as it answers while all is well. */
export function metadataAnswers(credentials = INSTANCE, lifeMs = 6 * 3_600_000): Answerer {
  return ({ method, url, headers }) => {
    if (method === 'PUT' && url === '/latest/api/token') {
      return { status: headers['x-aws-ec2-metadata-token-ttl-seconds'] === undefined ? 400 : 200, body: 'the-token==' };
    }
    if (headers['x-aws-ec2-metadata-token'] !== 'the-token==') return { status: 401 };
    if (url === '/latest/meta-data/placement/region') return { status: 200, body: REGION };
    if (url === '/latest/meta-data/iam/security-credentials/') return { status: 200, body: 'EnclaveRole' };
    if (url !== '/latest/meta-data/iam/security-credentials/EnclaveRole') return { status: 404 };
    const body = {
      Code: 'Success',
      Type: 'AWS-HMAC',
      AccessKeyId: credentials.accessKeyId,
      SecretAccessKey: credentials.secretAccessKey,
      Token: credentials.sessionToken,
      Expiration: new Date(Date.now() + lifeMs).toISOString(),
    };
    return { status: 200, body: JSON.stringify(body) };
  };
}

/** What surrounds an enclave that uses KMS: the parent, its metadata service, the KMS emulator with TLS, a simulated NSM. */
export class KmsWorld implements AsyncDisposable {
  readonly parent: FakeParent;
  readonly metadata: FakeServer;
  readonly emulator: KmsEmulator;
  /** Of the KMS proxy. */
  readonly port: number;
  readonly ring = new LogRing(1 << 20);
  readonly simulator = new NsmSimulator({ root, measurements: MEASUREMENTS });
  readonly nsm = new Nsm(this.simulator.request);
  /** Ports that other destinations lead to, by `host:port`. */
  readonly routes = new Map<string, number>();
  readonly #opened: Kms[] = [];

  private constructor(parent: FakeParent, metadata: FakeServer, emulator: KmsEmulator, port: number) {
    this.port = port;
    this.parent = parent;
    this.metadata = metadata;
    this.emulator = emulator;
    parent.answer = ({ host, port }) => {
      const to = this.routes.get(`${host}:${port}`);
      if (to !== undefined) return { reply: { Ok: { address: /^[\d.]+$|:/.test(host) ? host : '192.0.2.1' } }, to };
      if (host === METADATA && port === 80) return { reply: { Ok: { address: METADATA } }, to: metadata.port };
      if (host === 'host') return { reply: { Ok: { address: '127.0.0.1' } }, to: port };
      return { reply: { Err: { os_code: 111, message: 'Connection refused' } } };
    };
  }

  static async start(options: Partial<KmsEmulatorOptions> = {}): Promise<KmsWorld> {
    const parent = await FakeParent.make();
    await parent.listen();
    const metadata = await new FakeServer(metadataAnswers()).start();
    const emulator = await KmsEmulator.start({
      credentials: [INSTANCE],
      roots: [root.certificate],
      tls: pair,
      ...options,
    });
    const world = new KmsWorld(parent, metadata, emulator, await freePort());
    await mkdir(join(parent.folder, 'rootfs/etc'), { recursive: true });
    await writeFile(join(parent.folder, 'rootfs/etc/kms-ca.pem'), pair.cert);
    return world;
  }

  /** Certificate that KMS is trusted by, PEM. */
  get ca(): string {
    return pair.cert;
  }

  get rootfs(): string {
    return join(this.parent.folder, 'rootfs');
  }

  /** `enclaver.yaml` of an image that uses the emulator. */
  get manifestText(): string {
    return this.manifestFor(Number(new URL(this.emulator.endpoint).port));
  }

  /** The same for another KMS on the parent. */
  manifestFor(port: number): string {
    const endpoints = `{ ${REGION}: "host:${port}" }`;
    return `kms_proxy: { listen_port: ${this.port}, endpoints: ${endpoints}, ca_file: /etc/kms-ca.pem }\n`;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** All that odyn has logged, with the heads of records between the lines. */
  get log(): string {
    const cursor = this.ring.cursor(0);
    const blocks: Buffer[] = [];
    for (let block = cursor.take(); block !== undefined; block = cursor.take()) blocks.push(block);
    return Buffer.concat(blocks).toString('utf8');
  }

  manifest(more = this.manifestText): Manifest {
    return parseManifest(`version: v1\nname: test\ntarget: t:e\nsources: { app: t:1 }\n${more}`);
  }

  /** Closes what was opened before. */
  async openKms({ manifest = this.manifest(), env = {}, nsm = this.nsm } = {}): Promise<Kms> {
    for (const before of this.#opened.splice(0)) await before.close();
    const log = new OdynLog(this.ring);
    const kms = await Kms.open({ transport: this.parent.transport, nsm, env, manifest, root: this.rootfs, log });
    this.#opened.push(kms);
    return kms;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const kms of this.#opened) await kms.close();
    await this.emulator[Symbol.asyncDispose]();
    await this.metadata.close();
    await this.parent.close();
  }
}

/** A key policy that lets the instance's role encrypt, and decrypt in this enclave alone. */
export function attestedPolicy(pcr0 = MEASUREMENTS.PCR0): object {
  const principal = { Effect: 'Allow', Principal: { AWS: ROLE }, Resource: '*' };
  return {
    Version: '2012-10-17',
    Statement: [
      { ...principal, Action: ['kms:Encrypt', 'kms:DescribeKey', 'kms:ListKeys'] },
      {
        ...principal,
        Action: ['kms:Decrypt', 'kms:DeriveSharedSecret', 'kms:GenerateDataKey', 'kms:GenerateDataKeyPair'],
        Condition: { StringEqualsIgnoreCase: { 'kms:RecipientAttestation:PCR0': pcr0 } },
      },
    ],
  };
}
