// What is outside of the enclave, for main.ts: a parent that dials, the metadata service, and a KMS that costs little. It
// seals one answer for each document and repeats it. Prints where they are, as one line of JSON.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { parseDocument } from '@enclaver/attestation';
import { sealEnvelope } from '@enclaver/cms';
import { selfMadePair } from '@enclaver/kms-emulator';
import { FakeServer } from '../../odyn/test/fake-server.ts';
import { FakeParent } from '../../odyn/test/harness.ts';
import { metadataAnswers } from '../../odyn/test/kms-harness.ts';

const pair = selfMadePair();
const answers = new Map<string, Buffer>();

function answerTo(document: string): Buffer {
  const known = answers.get(document);
  if (known !== undefined) return known;
  const { publicKey } = parseDocument(Buffer.from(document, 'base64'));
  if (publicKey === undefined) throw new Error('the document has no public key');
  const CiphertextForRecipient = sealEnvelope(Buffer.alloc(32, 1), publicKey).toString('base64');
  const answer = Buffer.from(JSON.stringify({ CiphertextForRecipient, KeyId: 'arn:aws:kms:us-east-1:1:key/k' }));
  answers.set(document, answer);
  return answer;
}

const kms = createServer(pair, (request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const { Recipient } = JSON.parse(Buffer.concat(parts).toString()) as { Recipient: { AttestationDocument: string } };
    const answer = answerTo(Recipient.AttestationDocument);
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1', 'content-length': answer.length });
    response.end(answer);
  });
});
await new Promise<void>((resolve) => kms.listen(0, '127.0.0.1', resolve));
const metadata = await new FakeServer(metadataAnswers()).start();
const parent = await FakeParent.make();
parent.answer = ({ host, port }) =>
  host === 'host'
    ? { reply: { Ok: { address: '127.0.0.1' } }, to: port }
    : { reply: { Ok: { address: host } }, to: metadata.port };
await parent.listen();
process.once('SIGTERM', () => void parent.close().then(() => process.exit(0)));
console.log(JSON.stringify({ path: parent.path, kmsPort: (kms.address() as AddressInfo).port, ca: pair.cert }));
