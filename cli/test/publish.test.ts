import assert from 'node:assert/strict';
import { parseLimit } from '../src/connection-limits.ts';
import { formatProtocol, parsePublish } from '../src/publish.ts';

describe('-p', () => {
  it('takes a host port and an enclave port, and an address before them', () => {
    assert.deepEqual(parsePublish('8080:80'), [{ host: '0.0.0.0', port: 8080, listenPort: 80 }]);
    assert.deepEqual(parsePublish('127.0.0.1:8080:80'), [{ host: '127.0.0.1', port: 8080, listenPort: 80 }]);
    assert.deepEqual(parsePublish('[::1]:0:443'), [{ host: '::1', port: 0, listenPort: 443 }]);
  });

  it('takes a port as HTTP, with host and path', () => {
    const http = { host: '0.0.0.0', port: 80, listenPort: 8080, protocol: 'http' };
    assert.deepEqual(parsePublish('80:8080/http'), [{ ...http, route: {} }]);
    assert.deepEqual(parsePublish('80:8080/tcp'), [{ host: '0.0.0.0', port: 80, listenPort: 8080 }]);
    const text = '80:8080/http,host=*.Example.com,path=/v1/a%20b,h2c';
    assert.deepEqual(parsePublish(text), [{ ...http, route: { host: '*.example.com', path: '/v1/a%20b', h2c: true } }]);
    assert.equal(formatProtocol(parsePublish(text)[0] ?? assert.fail()), '/http,host=*.example.com,path=/v1/a%20b,h2c');
  });

  it('takes a Unix socket', () => {
    assert.deepEqual(parsePublish('unix:/run/app.sock:80'), [
      { path: '/run/app.sock', host: '127.0.0.1', port: 0, listenPort: 80 },
    ]);
    for (const text of [
      'unix:app.sock:80',
      'unix:/run/app.sock',
      'unix:/run/app.sock:0',
      `unix:/${'x'.repeat(107)}:80`,
    ])
      assert.throws(() => parsePublish(text), { code: 'commander.invalidArgument' });
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
    '80:80/tcp,host=a',
    '80:80/http,host=a:80',
    '80:80/http,host=*',
    '80:80/http,host=a.*.b',
    '80:80/http,host=',
    '80:80/http,path=v1',
    '80:80/http,path=/v1?x',
    '80:80/http,path=/a,path=/b',
    '80:80/http,port=1',
    '80:80/http,',
  ]) {
    it(`refuses ${text}`, () => {
      assert.throws(() => parsePublish(text), { code: 'commander.invalidArgument' });
    });
  }
});

describe('--limit', () => {
  it('takes names with numbers, bytes with units, several', () => {
    assert.deepEqual(parseLimit('egress-bytes=10M', parseLimit('ingress-connections=5')), {
      ingressConnections: 5,
      egressBytesPerSecond: 10 * 1024 * 1024,
    });
  });

  for (const text of [
    'ingress=5',
    'ingress-rate=0',
    'egress-bytes=5',
    'ingress-rate',
    'ingress-rate=-1',
    'egress-rate=1T',
  ])
    it(`refuses ${text}`, () => {
      assert.throws(() => parseLimit(text), { code: 'commander.invalidArgument' });
    });
});
