import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf } from '../../../../test/images/image.ts';
import { tar } from '../../../../test/images/tar.ts';
import { Bench, manifest, refusal } from '../support.ts';

/** Answers of a registry that no honest one gives. */
describe('a hostile registry', () => {
  let bench: Bench;
  let server: Server;
  let host: string;
  let asked: string[];
  /** By path after `/v2/app/`. */
  let answers: Map<string, Buffer>;

  beforeEach(async () => {
    bench = await Bench.create();
    asked = [];
    answers = new Map();
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      const body = request.url === '/v2/' ? Buffer.from('{}') : answers.get(request.url?.replace('/v2/app/', '') ?? '');
      if (body === undefined) {
        response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
        return;
      }
      response.writeHead(200, { 'content-type': MANIFEST, 'content-length': body.length }).end(body);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    const left = (await bench.leavings()).filter((name) => name !== 'app.eif');
    await bench[Symbol.asyncDispose]();
    assert.deepEqual(left, []);
  });

  const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
  const layer = tar([{ name: 'app', content: 'x' }]);

  function blob(bytes: Buffer, mediaType: string, size = bytes.length) {
    answers.set(`blobs/${digestOf(bytes)}`, bytes);
    return { mediaType, digest: digestOf(bytes), size };
  }

  function serve(layers: Record<string, unknown>[], diffIds: string[]): void {
    const config = { os: 'linux', architecture: 'amd64', config: { Cmd: ['/app'] }, rootfs: { diff_ids: diffIds } };
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: blob(Buffer.from(JSON.stringify(config)), 'application/vnd.oci.image.config.v1+json'),
        layers,
      }),
    );
    answers.set('manifests/latest', bytes);
    answers.set(`manifests/${digestOf(bytes)}`, bytes);
  }

  const build = () => bench.build({ manifest: manifest(`${host}/app`) });
  const TAR = 'application/vnd.oci.image.layer.v1.tar';

  it('that is honest is read', async () => {
    serve([blob(layer, TAR)], [digestOf(layer)]);
    await build();
  });

  it('cannot send the builder to another address for a layer', async () => {
    const elsewhere = `http://${host}/latest/meta-data/iam`;
    serve([{ ...blob(layer, TAR), urls: [elsewhere] }], [digestOf(layer)]);
    answers.delete(`blobs/${digestOf(layer)}`);
    await assert.rejects(build(), refusal('IMAGE_INVALID', /other addresses/));
    assert.ok(!asked.some((url) => url.includes('meta-data')), asked.join('\n'));
  });

  it('cannot give more than its manifest says', async () => {
    const large = randomBytes(3 << 20);
    serve([blob(large, TAR, 512)], [digestOf(large)]);
    await assert.rejects(build(), (error: { code?: string }) => {
      assert.ok(['IMAGE_INVALID', 'PULL_FAILED'].includes(error.code ?? ''), String(error));
      return true;
    });
  });

  it('cannot give another manifest than the digest that was asked for', async () => {
    serve([blob(layer, TAR)], [digestOf(layer)]);
    const asking = `sha256:${'ab'.repeat(32)}`;
    answers.set(`manifests/${asking}`, answers.get('manifests/latest') ?? Buffer.alloc(0));
    await assert.rejects(bench.build({ manifest: manifest(`${host}/app@${asking}`) }), (error: { code?: string }) => {
      assert.ok(['IMAGE_DIGEST_MISMATCH', 'PULL_FAILED'].includes(error.code ?? ''), String(error));
      return true;
    });
  });

  it('is not trusted with a digest that nothing here checks', async () => {
    serve([blob(layer, TAR)], [digestOf(layer)]);
    const asking = `sha512:${'ab'.repeat(64)}`;
    answers.set(`manifests/${asking}`, answers.get('manifests/latest') ?? Buffer.alloc(0));
    await assert.rejects(
      bench.build({ manifest: manifest(`${host}/app@${asking}`) }),
      refusal('IMAGE_INVALID', /not of SHA-256/),
    );
    assert.deepEqual(asked, []);
  });

  it('cannot fill the disk with what its manifest says', async () => {
    serve([blob(layer, TAR, 2 ** 50)], [digestOf(layer)]);
    await assert.rejects(build(), refusal('IMAGE_TOO_LARGE'));
    assert.ok(!asked.some((url) => url.includes('/blobs/')));
  });
});
