import type { Action } from './action.ts';
import { decrypt } from './actions/decrypt.ts';
import { deriveSharedSecret } from './actions/derive-shared-secret.ts';
import { describeKey } from './actions/describe-key.ts';
import { encrypt } from './actions/encrypt.ts';
import { generateDataKey, generateDataKeyWithoutPlaintext } from './actions/generate-data-key.ts';
import { generateDataKeyPair } from './actions/generate-data-key-pair.ts';
import { generateRandom } from './actions/generate-random.ts';
import { getPublicKey } from './actions/get-public-key.ts';
import { listKeys } from './actions/list-keys.ts';
import { sign } from './actions/sign.ts';

/** What the emulator can be asked, by the names of KMS. */
export const actions: ReadonlyMap<string, Action> = new Map([
  ['Decrypt', decrypt],
  ['DeriveSharedSecret', deriveSharedSecret],
  ['DescribeKey', describeKey],
  ['Encrypt', encrypt],
  ['GenerateDataKey', generateDataKey],
  ['GenerateDataKeyPair', generateDataKeyPair],
  ['GenerateDataKeyWithoutPlaintext', generateDataKeyWithoutPlaintext],
  ['GenerateRandom', generateRandom],
  ['GetPublicKey', getPublicKey],
  ['ListKeys', listKeys],
  ['Sign', sign],
]);
