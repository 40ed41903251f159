export type { EmulatedKey, KeySpec, KeyState, KeyUsage, NewKey } from './key-store.ts';
export { KmsEmulator, type KmsEmulatorOptions } from './kms-emulator.ts';
export type { Credentials } from './sigv4.ts';
