import { generateKeyPairSync } from 'node:crypto';
import { KMSClient, type RecipientInfo } from '@aws-sdk/client-kms';
import { Nsm } from '@enclaver/attestation/nsm';
import { DevelopmentRoot, NsmSimulator, type SimulatorOptions } from '@enclaver/attestation/simulator';
import { type EmulatedCredentials, KmsEmulator, type KmsEmulatorOptions } from '../src/index.ts';

export const ROLE = 'arn:aws:iam::111122223333:role/EnclaveRole';
export const SESSION = 'arn:aws:sts::111122223333:assumed-role/EnclaveRole/i-0123456789abcdef0';

/** Who uses the keys: a session of the role. */
export const enclave = {
  accessKeyId: 'ASIAENCLAVE',
  secretAccessKey: 'of no value',
  sessionToken: 't',
  principal: SESSION,
};
export const stranger = {
  accessKeyId: 'AKIASTRANGER',
  secretAccessKey: 'of no value either',
  principal: 'arn:aws:iam::444455556666:user/stranger',
};

export const root = DevelopmentRoot.create();

export function startEmulator(options: Partial<KmsEmulatorOptions> = {}): Promise<KmsEmulator> {
  return KmsEmulator.start({ credentials: [enclave, stranger], roots: [root.certificate], ...options });
}

export function clientOf(emulator: KmsEmulator, credentials: EmulatedCredentials = enclave): KMSClient {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  return new KMSClient({
    endpoint: emulator.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    maxAttempts: 1,
  });
}

/** A register with one digit repeated. */
export const pcr = (digit: string): string => digit.repeat(96);
export const measurements = { PCR0: pcr('a'), PCR1: pcr('b'), PCR2: pcr('c') };

/** The key pair of an enclave. */
export const recipientKey = generateKeyPairSync('rsa', { modulusLength: 2048 });
export const spki = recipientKey.publicKey.export({ type: 'spki', format: 'der' });

/** What an enclave puts into a request. */
export async function recipient(
  changes: Partial<SimulatorOptions> & { publicKey?: Uint8Array | undefined } = {},
): Promise<RecipientInfo> {
  const { publicKey = spki, ...options } = changes;
  const nsm = new Nsm(new NsmSimulator({ root, measurements, ...options }).request);
  return { AttestationDocument: await nsm.attest({ publicKey }), KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' };
}

export function policyOf(...statements: readonly object[]): object {
  return { Version: '2012-10-17', Statement: statements };
}
