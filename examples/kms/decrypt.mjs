// Node
import { readFileSync } from 'node:fs';
import { DecryptCommand, KMSClient } from '@aws-sdk/client-kms';

const kms = new KMSClient({ endpoint: process.env.AWS_KMS_ENDPOINT });
const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob: readFileSync('/srv/secret.bin') }));
console.log(Buffer.from(Plaintext).toString());
