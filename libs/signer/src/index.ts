export { SignerError, type SignerErrorCode } from './errors.ts';
export { isArn } from './key-arn.ts';
export { openSigner } from './open-signer.ts';
