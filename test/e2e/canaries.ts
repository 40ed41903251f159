import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

/** Planted in all that passes, with all that components say turned on. The first one is in the image's environment. */
export const CANARIES = {
  environment: 'canary of the environment',
  authorization: 'canary-bearer-5f1d',
  cookie: 'canary-cookie-77ab',
  query: 'canary-query-c031',
  body: 'canary-body-9e22',
  userinfo: 'canary-user-info-4d4d',
};

const headers = {
  authorization: `Bearer ${CANARIES.authorization}`,
  'proxy-authorization': `Basic ${CANARIES.authorization}`,
  cookie: `session=${CANARIES.cookie}`,
};

/** Where requests are sent to, on loopback, and where the app is told to send them. */
export interface Ways {
  tcpPort: number;
  httpPort: number;
  openPort: number;
  closedPort: number;
  /** What the app answers to a path. */
  ask(path: string): Promise<{ status: number }>;
}

/** Requests that are answered, that find nobody, and that are none: what goes wrong is what is logged. */
export async function spreadCanaries({ tcpPort, httpPort, openPort, closedPort, ask }: Ways): Promise<void> {
  const query = `token=${CANARIES.query}`;
  for (const [port, host] of [
    [tcpPort, 'a.test'],
    [httpPort, 'a.test'],
    [httpPort, 'nobody.test'],
  ] as const) {
    const options = { host: '127.0.0.1', port, method: 'POST', path: `/seen?${query}`, agent: false };
    const request = httpRequest({ ...options, headers: { ...headers, host } });
    request.end(CANARIES.body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await text(response);
  }
  for (const bytes of [
    `GET /seen?${query} HTTP/1.1\r\nHost: a.test\r\nAuthorization: ${CANARIES.authorization}\r\nContent-Length: x\r\n\r\n`,
    `CONNECT user:${CANARIES.userinfo}@a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n`,
    `${CANARIES.authorization}\r\n\r\n`,
  ]) {
    const socket = connect(httpPort, '127.0.0.1').on('error', () => undefined);
    socket.resume().end(bytes);
    await once(socket, 'close');
  }
  const through = (url: string) =>
    ask(`/get?url=${encodeURIComponent(url)}&headers=${encodeURIComponent(JSON.stringify(headers))}`);
  assert.equal((await through(`http://allowed.test:${openPort}/?${query}`)).status, 200);
  assert.equal((await through(`http://host:${closedPort}/?${query}`)).status, 503);
  assert.equal((await through(`http://denied.allowed.test/?${query}`)).status, 401);
  await through(`http://user:${CANARIES.userinfo}@allowed.test:${openPort}/?${query}`);
  await through(`ftp://allowed.test/?${query}`);
}
