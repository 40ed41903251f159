import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Agent } from 'node:https';
import { EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { KmsEmulator, type TlsPair } from '@enclaver/kms-emulator';

/**
 * What AWS is in earnest, emulated on this machine: KMS, and the metadata service that hands out the credentials of the
 * instance's role. Ports are those of enclaver.yaml and of the image's environment.
 */
export const KMS_PORT = 8400;
export const METADATA_PORT = 9081;
export const ROLE = 'arn:aws:iam::111122223333:role/EnclaveRole';

/** Of an account and a role that exist nowhere but here. */
const CREDENTIALS = {
  accessKeyId: 'ASIAEXAMPLE000000001',
  secretAccessKey: 'an example of no value',
  sessionToken: 'an+example/of+no+value==',
};
const SESSION = 'arn:aws:sts::111122223333:assumed-role/EnclaveRole/i-0123456789abcdef0';
export const CONTEXT = { purpose: 'example' };

export interface EmulatedKey {
  readonly id: string;
  /** 32 bytes. With it and the id, ciphertexts outlive the emulator. */
  readonly material: Buffer;
  readonly policy: string;
}

/** KMS with one key. `roots`: whose attestation documents it takes, DER. */
export async function startKms(key: EmulatedKey, tls: TlsPair, roots: readonly Uint8Array[]): Promise<KmsEmulator> {
  const kms = await KmsEmulator.start({
    port: KMS_PORT,
    credentials: [{ ...CREDENTIALS, principal: SESSION }],
    roots,
    tls,
  });
  kms.keys.createSymmetric(key);
  return kms;
}

/** What an operator does once: encrypts the secret with the key, under a context that says what it is for. */
export async function encrypt(secret: string, keyId: string, ca: string): Promise<Buffer> {
  const client = new KMSClient({
    region: 'us-east-1',
    endpoint: `https://localhost:${KMS_PORT}`,
    credentials: CREDENTIALS,
    requestHandler: { httpsAgent: new Agent({ ca }) },
  });
  const command = new EncryptCommand({ KeyId: keyId, Plaintext: Buffer.from(secret), EncryptionContext: CONTEXT });
  const { CiphertextBlob } = await client.send(command);
  client.destroy();
  return Buffer.from(CiphertextBlob ?? []);
}

/** The metadata service, version 2: a token first, then the role's credentials. */
export async function startMetadataService(): Promise<Server> {
  const credentials = {
    Code: 'Success',
    Type: 'AWS-HMAC',
    AccessKeyId: CREDENTIALS.accessKeyId,
    SecretAccessKey: CREDENTIALS.secretAccessKey,
    Token: CREDENTIALS.sessionToken,
    Expiration: new Date(Date.now() + 6 * 3_600_000).toISOString(),
  };
  const answers: Record<string, string> = {
    'PUT /latest/api/token': 'token',
    'GET /latest/meta-data/iam/security-credentials/': 'EnclaveRole',
    'GET /latest/meta-data/iam/security-credentials/EnclaveRole': JSON.stringify(credentials),
  };
  const server = createServer(({ method, url }: IncomingMessage, response) => {
    const answer = answers[`${method} ${url}`];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(answer);
  });
  server.listen(METADATA_PORT, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
