import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { KmsCertificate } from '@enclaver/manifest';
import { sealInEnvelope } from '@enclaver/wire/sealed-key';
import type { KeyPair } from '../src/ingress/certificates/key-pair.ts';
import { KmsSource } from '../src/ingress/certificates/kms.ts';
import type { KmsClient } from '../src/kms/kms-client.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { attestedPolicy, KmsWorld } from './kms-harness.ts';
import { Pki } from './tls-bench.ts';

const context = { app: 'payments' };
const SERVER = 'certificates.example';

describe('a key that KMS releases', function () {
  this.timeout(20_000);

  let pki: Pki;
  let world: KmsWorld;
  let kms: KmsClient;
  let kmsKey: string;
  let key: Buffer;
  let opened: KmsSource[];

  before(async () => {
    pki = await Pki.make();
    pki.authority('ca');
    pki.certificate('server', 'ca', 'enclave.example');
    pki.certificate('other', 'ca', 'other.example');
    pki.certificate('web', 'ca', SERVER);
    key = Buffer.from(await pki.pem('server.key'));
  });

  after(() => pki.close());

  beforeEach(async () => {
    opened = [];
    world = await KmsWorld.start();
    kms = (await world.openKms()).client;
    kmsKey = world.emulator.keys.createSymmetric({ policy: attestedPolicy() }).arn;
    await put('cert.pem', await pki.pem('server.pem'));
  });

  afterEach(async () => {
    for (const source of opened) source.close();
    await world[Symbol.asyncDispose]();
  });

  async function put(name: string, content: string | Uint8Array): Promise<void> {
    await mkdir(join(world.rootfs, 'srv'), { recursive: true });
    await writeFile(join(world.rootfs, 'srv', name), content);
  }

  /** So many more records in the log. */
  async function logged(count: number): Promise<void> {
    const until = world.ring.next + count;
    while (world.ring.next < until) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  const encrypt = (plaintext = key): Promise<Buffer> => kms.encrypt({ keyId: kmsKey, context }, plaintext);

  function source(changes: Partial<KmsCertificate> = {}, refreshMs?: number): KmsSource {
    const encryptionContext = context;
    const certificate = { key: '/srv/key', cert: '/srv/cert.pem', kmsKey, encryptionContext, ...changes };
    const made = new KmsSource(
      { source: 'kms', ...certificate },
      {
        port: 8443,
        root: world.rootfs,
        manifest: world.manifest(),
        transport: world.parent.transport,
        kms,
        log: new OdynLog(world.ring),
      },
      refreshMs,
    );
    opened.push(made);
    return made;
  }

  const fails = (code: string, message: RegExp, changes: Partial<KmsCertificate> = {}): Promise<void> =>
    assert.rejects(source(changes).start(unexpected), { code, message });

  it('is opened from a ciphertext of Encrypt, as bytes and as the AWS CLI prints it', async () => {
    const sealed = await encrypt();
    for (const file of [sealed, `${sealed.toString('base64').replace(/.{76}/g, '$&\n')}\n`]) {
      await put('key', file);
      const pair = await source().start(unexpected);
      assert.deepEqual(pair, { key, certificates: Buffer.from(await pki.pem('server.pem')) });
    }
  });

  it('is opened from an envelope, however long it is', async () => {
    const { plaintext, ciphertext } = await kms.generateDataKey({ keyId: kmsKey, context });
    const long = Buffer.concat([Buffer.from('# a comment\n'.repeat(420)), key]);
    const envelope = sealInEnvelope(long, plaintext, ciphertext);
    await put('key', envelope);
    assert.deepEqual((await source().start(unexpected)).key, long);
    const changed = JSON.parse(envelope);
    changed.ciphertext = `${changed.ciphertext.startsWith('A') ? 'B' : 'A'}${changed.ciphertext.slice(1)}`;
    await put('key', JSON.stringify(changed));
    await fails('TLS_KMS', /\/srv\/key: the envelope does not open with its data key/);
    await put('key', '{"format": "enclaver-sealed-key/2"}');
    await fails('TLS_KMS', /the envelope is not as it must be/);
  });

  it('stays closed with another context, another key, or for another image, and the reason is told', async () => {
    await put('key', await encrypt());
    await fails('TLS_KMS', /ingress port 8443: \/srv\/key: KMS refuses Decrypt: InvalidCiphertext/, {
      encryptionContext: {},
    });
    const elsewhere = world.emulator.keys.createSymmetric({ policy: attestedPolicy() }).arn;
    await fails('TLS_KMS', /IncorrectKeyException/, { kmsKey: elsewhere });
    kmsKey = world.emulator.keys.createSymmetric({ policy: attestedPolicy('d'.repeat(96)) }).arn;
    await put('key', await encrypt());
    await fails('TLS_KMS', /AccessDeniedException/);
  });

  it('has to be sealed, a key, and that of the certificate', async () => {
    await put('key', key);
    await fails('TLS_KMS', /\/srv\/key: the file is in PEM form, so it is not sealed at all/);
    await put('key', '');
    await fails('TLS_KMS', /the file is empty/);
    await put('key', await encrypt(Buffer.from('SECRET BUT NO KEY')));
    await assert.rejects(source().start(unexpected), ({ code, message }) => {
      assert.equal(code, 'TLS_KMS');
      assert.match(message, /is not in PEM form/);
      assert.ok(!message.includes('SECRET'));
      return true;
    });
    await put('key', await encrypt(Buffer.from(await pki.pem('other.key'))));
    await fails('TLS_KMS', /its certificate is not of its key/);
    await fails('TLS_FILE', /the image has no \/srv\/none/, { cert: '/srv/none' });
  });

  it('is waited for while KMS is away', async () => {
    await put('key', await encrypt());
    const { answer } = world.parent;
    let left = 2;
    world.parent.answer = (request) =>
      left-- > 0 ? { reply: { Err: { os_code: 113, message: 'no route' } } } : answer(request);
    // Kept connections would not ask the parent
    kms = (await world.openKms()).client;
    assert.deepEqual((await source().start(unexpected)).key, key);
    assert.ok(left < 0);
  });

  describe('from a server', () => {
    let server: Server;
    let files: Record<string, string | Buffer | number>;
    let place: string;

    beforeEach(async () => {
      files = { '/key': await encrypt(), '/cert.pem': await pki.pem('server.pem') };
      const tls = { key: await pki.pem('web.key'), cert: await pki.pem('web.pem') };
      server = createServer(tls, ({ url = '' }, response) => {
        const file = files[url] ?? 404;
        if (typeof file === 'number') response.writeHead(file).end();
        else response.end(file);
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      world.routes.set(`${SERVER}:${port}`, port);
      place = `https://${SERVER}:${port}`;
      await put('ca.pem', await pki.pem('ca.pem'));
    });

    afterEach(async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    });

    const fetched = (): Partial<KmsCertificate> => ({
      key: `${place}/key`,
      cert: `${place}/cert.pem`,
      caFile: '/srv/ca.pem',
    });

    it('is fetched, and looked at again: a renewed certificate takes the place of the old one', async () => {
      const made = source(fetched(), 50);
      const told: KeyPair[] = [];
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      const first = await made.start((pair) => {
        told.push(pair);
        resolve();
      });
      assert.equal(String(first.certificates), await pki.pem('server.pem'));
      // What does not fit is left aside, and the server may be away
      files['/cert.pem'] = await pki.pem('other.pem');
      await logged(1);
      files['/cert.pem'] = 503;
      await logged(2);
      assert.deepEqual(told, []);
      files['/key'] = await encrypt(Buffer.from(await pki.pem('other.key')));
      files['/cert.pem'] = await pki.pem('other.pem');
      await changed;
      assert.deepEqual(told, [
        { key: Buffer.from(await pki.pem('other.key')), certificates: Buffer.from(await pki.pem('other.pem')) },
      ]);
    });

    it('is read from the image once, which the app may change', async () => {
      await put('key', await encrypt());
      const made = source({ ...fetched(), key: '/srv/key' }, 50);
      const { promise: changed, resolve } = Promise.withResolvers<KeyPair>();
      await made.start(resolve);
      await rm(join(world.rootfs, 'srv/key'));
      const longer = (await pki.pem('server.pem')) + (await pki.pem('ca.pem'));
      files['/cert.pem'] = longer;
      assert.deepEqual(await changed, { key, certificates: Buffer.from(longer) });
    });

    it('is waited for while the server is away, and not where it has no such file', async () => {
      files['/cert.pem'] = 503;
      const waiting = source(fetched()).start(unexpected);
      await logged(1);
      files['/cert.pem'] = await pki.pem('server.pem');
      assert.deepEqual((await waiting).key, key);
      files['/key'] = 302;
      await fails(
        'TLS_FETCH',
        /8443: https:\/\/certificates\.example:\d+\/key: the server answered with status 302/,
        fetched(),
      );
    });
  });
});

function unexpected(): never {
  throw new Error('nothing has changed');
}
