export type { EcKey, EmulatedKey, KeySpec, KeyState, KeyUsage, SymmetricKey } from './key.ts';
export { ACCOUNT, KeyStore, type NewKey, type NewSymmetricKey } from './key-store.ts';
export { type EmulatedCredentials, KmsEmulator, type KmsEmulatorOptions } from './kms-emulator.ts';
export { KmsError } from './kms-error.ts';
export type { Credentials } from './sigv4.ts';
export { selfMadePair, type TlsPair } from './tls-pair.ts';
