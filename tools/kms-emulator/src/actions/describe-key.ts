import { z } from 'zod';
import { type Answer, action, keyId } from '../action.ts';
import { type EmulatedKey, KEY_SPECS, SYMMETRIC } from '../key.ts';
import { ACCOUNT } from '../key-store.ts';

export const describeKey = action(z.object({ KeyId: keyId }), ({ KeyId }, { keys, caller }) => {
  const key = keys.use(KeyId, { action: 'DescribeKey', caller });
  return {
    KeyMetadata: {
      AWSAccountId: ACCOUNT,
      KeyId: key.id,
      Arn: key.arn,
      CreationDate: key.created.getTime() / 1000,
      Enabled: key.state === 'Enabled',
      Description: '',
      KeyState: key.state,
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
      MultiRegion: false,
      ...keyFields(key),
    },
  };
});

/** What KMS says of a key's kind, here and with its public half. */
export function keyFields({ spec, usage }: EmulatedKey): Answer {
  const kind = { CustomerMasterKeySpec: spec, KeySpec: spec, KeyUsage: usage };
  if (spec === SYMMETRIC) return { ...kind, EncryptionAlgorithms: [SYMMETRIC] };
  return usage === 'SIGN_VERIFY'
    ? { ...kind, SigningAlgorithms: [KEY_SPECS[spec].algorithm] }
    : { ...kind, KeyAgreementAlgorithms: ['ECDH'] };
}
