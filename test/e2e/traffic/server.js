// An app that knows nothing of enclaves: plain node:http, told what to do by requests.
const { createHash, randomUUID } = require('node:crypto');
const http = require('node:http');
const net = require('node:net');

const PORT = 8080;
/** Where each connection begins with a PROXY v2 header of TCP over IPv4, which is told back. */
const TOLD_PORT = 8081;

/** Tells this app from others of its image. */
const SELF = randomUUID();

process.on('SIGTERM', () => {
  console.log('got SIGTERM');
  process.exit(42);
});

/** N bytes that the client can compute, too: a 64 KiB block that counts. */
function* blob(bytes) {
  const block = Buffer.alloc(65536);
  for (let sent = 0, turn = 0; sent < bytes; sent += block.length, turn++) {
    block.fill(turn & 0xff);
    yield Buffer.from(block.subarray(0, Math.min(block.length, bytes - sent)));
  }
}

/** One request through the HTTP proxy of the environment, by CONNECT or in absolute form. */
function viaProxy(method, target, path, headers = {}) {
  const proxy = new URL(process.env.http_proxy);
  return new Promise((resolve) => {
    const request = http.request({ host: proxy.hostname, port: proxy.port, method, path, headers, agent: false });
    request.on('connect', (answer, socket, head) => {
      if (answer.statusCode !== 200) {
        let text = head.toString();
        socket.on('data', (chunk) => (text += chunk)).on('end', () => resolve({ status: answer.statusCode, text }));
        return;
      }
      let text = head.toString();
      socket.on('data', (chunk) => (text += chunk));
      socket.on('close', () => resolve({ status: 200, text }));
      socket.write(`GET /tunnelled HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n\r\n`);
    });
    request.on('response', (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk)).on('end', () => resolve({ status: answer.statusCode, text }));
    });
    request.on('error', (error) => resolve({ status: 0, text: String(error) }));
    request.end();
  });
}

const routes = {
  '/about': async () => ({
    argv: process.argv.slice(1),
    cwd: process.cwd(),
    uid: process.getuid(),
    gid: process.getgid(),
    env: process.env,
    manifest: require('node:fs').readFileSync('/etc/enclaver/enclaver.yaml', 'utf8'),
  }),
  '/connect': (url) => viaProxy('CONNECT', url.searchParams.get('to'), url.searchParams.get('to')),
  '/get': (url) =>
    viaProxy('GET', '', url.searchParams.get('url'), JSON.parse(url.searchParams.get('headers') ?? '{}')),
  '/log': async (url) => {
    const lines = Number(url.searchParams.get('lines'));
    for (let line = 0; line < lines; line++) {
      (line % 2 === 0 ? process.stdout : process.stderr).write(`line ${line} of ${lines}\n`);
    }
    process.stdout.write(`${'long '.repeat(20_000)}end\n`);
    return { written: lines };
  },
};

http
  .createServer(async (request, response) => {
    const url = new URL(request.url, 'http://app');
    if (url.pathname === '/hash') {
      const hash = createHash('sha256');
      for await (const chunk of request) hash.update(chunk);
      return response.end(hash.digest('hex'));
    }
    if (url.pathname === '/blob') {
      for (const chunk of blob(Number(url.searchParams.get('bytes')))) {
        if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve));
      }
      return response.end();
    }
    if (url.pathname === '/exit') {
      response.end('bye');
      return setImmediate(() => process.exit(Number(url.searchParams.get('code'))));
    }
    if (url.pathname.endsWith('/seen')) {
      return response.end(JSON.stringify({ self: SELF, url: request.url, headers: request.headers }));
    }
    const route = routes[url.pathname];
    if (route === undefined) return response.end('hello');
    response.setHeader('content-type', 'application/json');
    return response.end(JSON.stringify(await route(url)));
  })
  .listen(PORT, '127.0.0.1', () => console.log(`listening on ${PORT}`));

net
  .createServer((socket) => {
    let bytes = Buffer.alloc(0);
    const end = (address, port) => `${bytes.subarray(address, address + 4).join('.')}:${bytes.readUInt16BE(port)}`;
    socket
      .on('error', () => socket.destroy())
      .on('data', (chunk) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (bytes.length >= 28) socket.end(`${end(16, 24)} to ${end(20, 26)}`);
      });
  })
  .listen(TOLD_PORT, '127.0.0.1');
