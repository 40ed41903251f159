// A web app with a secret that its image holds encrypted: AWS KMS decrypts it for this very image and for nobody else.
// It uses AWS's SDK as anywhere; AWS_ENDPOINT_URL_KMS, which the enclave sets, is all that differs.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { DecryptCommand, KMSClient } from '@aws-sdk/client-kms';

const kms = new KMSClient({ maxAttempts: 1 });
const file = process.argv[2] ?? '/srv/secret/secret.bin';

async function decrypt() {
  const EncryptionContext = { purpose: 'example' };
  const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob: readFileSync(file), EncryptionContext }));
  return Buffer.from(Plaintext).toString();
}

const server = http.createServer(async (_request, response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('connection', 'close');
  try {
    response.end(`${await decrypt()}\n`);
  } catch (error) {
    console.warn(`KMS: ${error.name}`);
    response.statusCode = 403;
    response.end(`${error.name}: ${error.message}\n`);
  }
});

process.on('SIGTERM', () => server.close(() => process.exit(0)));

server.listen(Number(process.env.PORT ?? 8443), '127.0.0.1', () =>
  console.log(`listening on ${server.address().port}`),
);
