import { z } from 'zod';
import { action, keyId } from '../action.ts';
import { SYMMETRIC } from '../key.ts';
import { KmsError } from '../kms-error.ts';
import { keyFields } from './describe-key.ts';

export const getPublicKey = action(z.object({ KeyId: keyId }), ({ KeyId }, { keys, caller }) => {
  const key = keys.use(KeyId, { action: 'GetPublicKey', caller });
  if (key.spec === SYMMETRIC) throw new KmsError('UnsupportedOperationException', `${key.arn} has no public key.`);
  const der = key.publicKey.export({ type: 'spki', format: 'der' });
  return { KeyId: key.arn, PublicKey: der.toString('base64'), ...keyFields(key) };
});
