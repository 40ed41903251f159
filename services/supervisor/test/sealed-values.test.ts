import assert from 'node:assert/strict';
import { askStore } from './ask-store.ts';
import { writeSmallImage } from './small-image.ts';
import { TestHost } from './test-host.ts';

describe('sealed values of enclaves', () => {
  const host = TestHost.use();

  it('keeps what an enclave has sealed for the next of its image, under any name, and for no other', async () => {
    const acme =
      'acme: { domains: [a.example], terms_of_service_agreed: true, kms_key: "arn:aws:kms:us-east-1:111122223333:key/k" }';
    const image = (name: string): Promise<void> =>
      writeSmallImage(host.eif, {
        manifest: `version: v1\nname: ${name}\ntarget: a:b\nsources: { app: "a:c" }\ningress: [{ listen_port: 443, tls: { certificates: [{ ${acme} }] } }]\n`,
      });
    const boot = async (name: string): Promise<string> => {
      host.seen = [];
      host.backend.onLaunch = (launched) => launched.boots();
      const { vsock } = await host.run({ name });
      await host.until('booting');
      return vsock.type === 'unix' ? vsock.path : assert.fail('no Unix socket');
    };
    await image('one');
    const [first, second] = [await boot('a'), await boot('b')];
    assert.equal((await askStore(first, { op: 'put', key: 'k', value: 'AAAA', expected: 0 })).result, 'stored');
    assert.equal((await askStore(second, { op: 'get', key: 'k' })).result, 'found');
    await image('two');
    const other = await boot('c');
    assert.equal((await askStore(other, { op: 'get', key: 'k' })).result, 'missing');
    await writeSmallImage(host.eif);
    await assert.rejects(askStore(await boot('d'), { op: 'get', key: 'k' }), 'an image that needs no store has one');
  });
});
