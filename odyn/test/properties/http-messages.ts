import fc from 'fast-check';

/** Texts of HTTP messages, of which each character is a byte. */

const body = fc.oneof(
  fc.constantFrom('', 'a', '0\r\n\r\n', 'GET http://evil.example/ HTTP/1.1\r\n\r\n'),
  fc.string({ unit: 'binary-ascii', maxLength: 40 }),
);
const name = fc.constantFrom(
  'Accept',
  'X-A',
  'x-b',
  'Cookie',
  'TE',
  'Keep-Alive',
  'Proxy-Authorization',
  'Trailer',
  'Via',
);
const value = fc.constantFrom('', 'x', 'a, b', 'trailers', 'y\tz', '\xe9', '"q;x=\\""', 'Content-Length: 5');
const header = fc.tuple(name, value).map(([one, text]) => `${one}: ${text}\r\n`);
const headers = fc.array(header, { maxLength: 3 }).map((lines) => lines.join(''));
const listed = fc.constantFrom(
  '',
  '',
  'Connection: x-a\r\n',
  'Connection: keep-alive, X-B\r\n',
  'Connection: Content-Length\r\n',
);

/** A body with its length, or in chunks with extensions and trailers. */
const framed = body.chain((text) => {
  const half = Math.floor(text.length / 2);
  const chunk = (part: string, extension: string): string =>
    part === '' ? '' : `${part.length.toString(16)}${extension}\r\n${part}\r\n`;
  return fc.oneof(
    fc.constant(`Content-Length: ${text.length}\r\n\r\n${text}`),
    fc
      .tuple(fc.constantFrom('', ';a=b', ';x="y;z"'), fc.constantFrom('', 'X-Trailer: 1\r\n'))
      .map(
        ([extension, trailer]) =>
          `Transfer-Encoding: chunked\r\n\r\n${chunk(text.slice(0, half), extension)}${chunk(text.slice(half), '')}0\r\n${trailer}\r\n`,
      ),
  );
});

const target = fc
  .tuple(
    fc.constantFrom('a.example', 'B.EXAMPLE', 'c.example:8080'),
    fc.constantFrom('', '/', '/p/%2e./q', '?q', '/x?y=//z'),
  )
  .map(([host, path]) => `http://${host}${path}`);
const bodiless = fc.tuple(fc.constantFrom('GET', 'HEAD', 'DELETE', 'OPTIONS'), fc.constant('\r\n'));
const withBody = fc.tuple(fc.constantFrom('POST', 'PUT', 'PATCH', 'GET'), framed);

/** One request to the proxy that it has to carry out. */
export const request: fc.Arbitrary<string> = fc
  .tuple(fc.oneof(bodiless, withBody), target, headers, listed)
  .map(
    ([[method, end], url, lines, connection]) => `${method} ${url} HTTP/1.1\r\nHost: x\r\n${lines}${connection}${end}`,
  );

/** The last request of a connection. */
export const LAST = 'GET http://last.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

/** What has been used to have two readers see two things (RFC 9112, section 11.2), put in after a line's end. */
export const trick = fc.constantFrom(
  'Content-Length: 0\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: +5\r\n',
  'Content-Length: 0x5\r\n',
  'Content-Length: 5, 5\r\n',
  'Content-Length: 5 5\r\n',
  'Content-Length : 5\r\n',
  'Content-Length:\x0b5\r\n',
  'Content-Length: -0\r\n',
  'Content-Length: 18446744073709551621\r\n',
  'Content_Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: Chunked\r\n',
  'Transfer-Encoding: xchunked\r\n',
  'Transfer-Encoding: chunked, chunked\r\n',
  'Transfer-Encoding: chunked, identity\r\n',
  'Transfer-Encoding: gzip, chunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer-Encoding:\x0bchunked\r\n',
  'Transfer-Encoding: chunked\n',
  'Transfer-Encoding\r\n : chunked\r\n',
  ' Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: "chunked"\r\n',
  'X: y\r\n\tTransfer-Encoding: chunked\r\n',
  'X: y\rTransfer-Encoding: chunked\r\n',
  'X: y\nTransfer-Encoding: chunked\r\n',
  'X: y\0Transfer-Encoding: chunked\r\n',
  ': x\r\n',
  'X\r\n',
  '\r\n',
  '\n',
  '\r',
  '0\r\n\r\n',
  '0\r\nContent-Length: 3\r\n',
  '00000000000000005\r\n',
  '5;\nx\r\n',
  'Expect: 100-continue\r\n',
  'Upgrade: websocket\r\nConnection: Upgrade\r\n',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n',
  'Host: evil.example\r\n',
  'GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n',
);

/** One answer of a server to a request that was no HEAD. */
export const answer: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(fc.constantFrom('200 OK', '404 Not Found', '500 '), headers, framed)
    .map(([status, lines, end]) => `HTTP/1.1 ${status}\r\n${lines}${end}`),
  fc
    .tuple(fc.constantFrom('204 No Content', '304 Not Modified'), headers)
    .map(([status, lines]) => `HTTP/1.1 ${status}\r\n${lines}\r\n`),
);
