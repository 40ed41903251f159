export { SignerError, type SignerErrorCode } from './errors.ts';
export { isArn } from './key-arn.ts';
export { type KmsSealer, kmsSealer } from './kms-sealer.ts';
export { openSigner } from './open-signer.ts';
