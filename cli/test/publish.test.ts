import assert from 'node:assert/strict';
import { parsePublish } from '../src/publish.ts';

describe('-p', () => {
  it('takes a host port and an enclave port, and an address before them', () => {
    assert.deepEqual(parsePublish('8080:80'), [{ host: '0.0.0.0', port: 8080, listenPort: 80 }]);
    assert.deepEqual(parsePublish('127.0.0.1:8080:80'), [{ host: '127.0.0.1', port: 8080, listenPort: 80 }]);
    assert.deepEqual(parsePublish('[::1]:0:443'), [{ host: '::1', port: 0, listenPort: 443 }]);
  });

  it('adds to those given before', () => {
    assert.equal(parsePublish('2:2', parsePublish('1:1')).length, 2);
  });

  // The original takes the first two of these for ports 1 and 8080 (fault D15)
  for (const text of [
    '1.2.3.4.5:80:80',
    '8080:80/udp',
    '8080',
    '80:',
    ':80',
    '70000:80',
    '80:0',
    '80:65536',
    'a:80',
    '999.1.1.1:80:80',
  ]) {
    it(`refuses ${text}`, () => {
      assert.throws(() => parsePublish(text), { code: 'commander.invalidArgument' });
    });
  }
});
