import { randomBytes, randomUUID, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { AttestedAgent } from '@enclaver/attestation/tls';
import { selfMadePair } from '@enclaver/kms-emulator';
import { freePort } from '../../test/stack/free-port.ts';
import { command, runEnclave, say } from '../show.ts';
import { encrypt, METADATA_PORT, ROLE, startKms, startMetadataService } from './aws-stand-in.ts';
import { makeSecretImage } from './make-image.ts';

const SECRET = 'open sesame';

/**
 * A secret that KMS decrypts for one image only, asked for over TLS that ends in the enclave; and the same app in another
 * image, which gets nothing. Gives whether both went so.
 */
export async function secretDemo(work: string): Promise<boolean> {
  const file = (name: string): string => join(work, name);
  const tls = selfMadePair();
  const key = { id: randomUUID(), material: randomBytes(32) };
  const metadata = await startMetadataService();
  try {
    say('KMS (emulated here): a key whose policy lets the role encrypt, and nobody decrypt; the secret is encrypted');
    const policy = { Version: '2012-10-17', Statement: [allowToEncrypt()] };
    await writeFile(file('policy.json'), JSON.stringify(policy, null, 2));
    let ciphertext: Buffer;
    {
      await using _kms = await startKms({ ...key, policy: JSON.stringify(policy) }, tls, []);
      ciphertext = await encrypt(SECRET, key.id, tls.cert);
    }
    process.stdout.write(`${ciphertext.length} bytes that are no secret go into the image\n`);

    say('enclaver build, twice: the image, and one that differs in a word of its manifest');
    const metadataService = `http://host:${METADATA_PORT}`;
    await makeSecretImage(join(import.meta.dirname, 'image'), { ciphertext, kmsCa: tls.cert, metadataService });
    const manifest = join(import.meta.dirname, 'enclaver.yaml');
    process.stdout.write(await command('build', '-f', manifest, '--eif-only', file('secret.eif')));
    const other = (await readFile(manifest, 'utf8'))
      .replace('name: secret', 'name: other')
      .replace('oci:./image', `oci:${join(import.meta.dirname, 'image')}`);
    await writeFile(file('other.yaml'), other);
    process.stdout.write(await command('build', '-f', file('other.yaml'), '--eif-only', file('other.eif')));

    say('enclaver trust: a statement for this image goes into the key policy');
    const trust = ['trust', file('secret.eif'), '--kms', '--principal', ROLE];
    await command(...trust, '--merge', file('policy.json'), '--write');

    await writeFile(file('root.crt'), await command('attest', 'root'));
    const root = new Uint8Array(new X509Certificate(await readFile(file('root.crt'))).raw);
    await using kms = await startKms({ ...key, policy: await readFile(file('policy.json'), 'utf8') }, tls, [root]);

    say('the image: KMS decrypts for it; who asks checks first, by attestation, that it is this image that answers');
    const right = await ask(file('secret.eif'), root);

    say('the other image: the same app with the same credentials, and KMS refuses');
    const wrong = await ask(file('other.eif'), root);
    process.stdout.write(`KMS was asked for: ${kms.asked.join(', ')}\n`);
    return right === `${SECRET}\n` && wrong.startsWith('AccessDeniedException');
  } finally {
    metadata.close();
  }
}

/** Boots an image, and asks its app over TLS of which an attestation document speaks. Gives the answer. */
async function ask(eif: string, root: Uint8Array): Promise<string> {
  const pcr0: string = JSON.parse(await command('trust', '-o', 'json', eif)).Measurements.PCR0;
  const port = await freePort();
  const enclave = await runEnclave(eif, { outside: port, inside: 8443 });
  if (!enclave.ready) throw new Error('the enclave was not ready');
  try {
    const agent = new AttestedAgent({
      roots: [root],
      expect: { pcrs: new Map([[0, new Uint8Array(Buffer.from(pcr0, 'hex'))]]) },
    });
    const answer = await new Promise<string>((resolve, reject) => {
      const options = { host: '127.0.0.1', port, servername: 'secret.example', agent };
      request(options, (response) => resolve(text(response)))
        .on('error', reject)
        .end();
    });
    process.stdout.write(`GET https://127.0.0.1:${port}/ of PCR0 ${pcr0.slice(0, 16)}…\n${answer}`);
    return answer;
  } finally {
    enclave.stop();
    await enclave.code;
  }
}

function allowToEncrypt(): object {
  return { Sid: 'Encrypt', Effect: 'Allow', Principal: { AWS: ROLE }, Action: 'kms:Encrypt', Resource: '*' };
}
