import { SignerError } from './errors.ts';

/** A key of AWS KMS. */
export interface KeyArn {
  arn: string;
  region: string;
}

/** Partitions and form that upstream's tools take; an alias is none, since what it points to can be changed. */
const KEY_ARN = /^arn:(?:aws|aws-cn|aws-us-gov):kms:([a-z0-9]+(?:-[a-z0-9]+)+):\d{12}:key\/[A-Za-z0-9-]{1,128}$/;

/** As the manifest takes it for what odyn opens: an alias may move on to another key, since a ciphertext names its own. */
const SEALING_KEY =
  /^arn:[a-z]+(?:-[a-z]+)*:kms:([a-z]+(?:-[a-z0-9]+)+):\d{12}:(?:key\/[A-Za-z0-9-]{1,128}|alias\/[A-Za-z0-9/_-]{1,250})$/;

/** Whether a `key` names a KMS key. Everything that begins like an ARN is meant as one; else it is a path. */
export function isArn(key: string): boolean {
  return key.startsWith('arn:');
}

/** Throws KMS_KEY_ARN. */
export function parseKeyArn(arn: string): KeyArn {
  const region = KEY_ARN.exec(arn)?.[1];
  if (region === undefined) {
    throw new SignerError('KMS_KEY_ARN', `${JSON.stringify(arn)} is not the ARN of a KMS key; an alias is not allowed`);
  }
  return { arn, region };
}

/** Throws KMS_KEY_ARN. */
export function parseSealingKey(arn: string): KeyArn {
  const region = SEALING_KEY.exec(arn)?.[1];
  if (region === undefined) {
    throw new SignerError('KMS_KEY_ARN', `${JSON.stringify(arn)} is not the ARN of a KMS key or alias`);
  }
  return { arn, region };
}
