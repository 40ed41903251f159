import { z } from 'zod';
import { action } from '../action.ts';

/** All in one answer: there are not more keys than KMS puts into one. */
export const listKeys = action(z.object({}), (_request, { keys, caller }) => ({
  Keys: keys
    .all()
    .filter(({ region }) => region === caller.region)
    .map(({ id, arn }) => ({ KeyId: id, KeyArn: arn })),
  Truncated: false,
}));
