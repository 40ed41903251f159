import { z } from 'zod';
import { action, keyId } from '../action.ts';
import { keyFields } from './describe-key.ts';

export const getPublicKey = action(z.object({ KeyId: keyId }), ({ KeyId }, { keys, region }) => {
  const key = keys.use(KeyId, { action: 'GetPublicKey', region });
  const der = key.publicKey.export({ type: 'spki', format: 'der' });
  return { KeyId: key.arn, PublicKey: der.toString('base64'), ...keyFields(key) };
});
