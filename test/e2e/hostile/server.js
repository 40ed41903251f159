// An app that serves, and that turns against its host when a request tells it to, until another one ends that.
const { spawn } = require('node:child_process');
const http = require('node:http');
const net = require('node:net');

const proxy = new URL(process.env.http_proxy);
/** What has become of its connections by the proxy: open and never read from, or not let through. */
const state = { open: 0, failed: 0, hostile: false, flood: undefined };
const kept = [];

/** A tunnel by the proxy, and a request through it. */
function tunnel(target, path, onOpen, onEnd) {
  const socket = net.connect(proxy.port, proxy.hostname);
  let isOpen = false;
  let ended = false;
  const end = () => {
    if (!ended && !isOpen) onEnd();
    ended = true;
  };
  socket.on('error', end).on('close', end);
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  let head = '';
  const onData = (chunk) => {
    head += chunk;
    if (!head.includes('\r\n\r\n')) return;
    socket.off('data', onData);
    if (!/^HTTP\/1\.1 200 /.test(head)) return socket.destroy();
    isOpen = true;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: target\r\nConnection: close\r\n\r\n`);
    onOpen(socket);
  };
  socket.on('data', onData);
}

function fetchText(target) {
  return new Promise((resolve) => {
    let text = '';
    const take = (socket) => socket.on('data', (chunk) => (text += chunk)).on('close', () => resolve(text));
    tunnel(target, '/', take, () => resolve('not let through'));
  });
}

/** As many at a time as the queue of the proxy takes. */
function openConnections(target, count) {
  let begun = 0;
  const next = () => {
    if (!state.hostile || begun++ >= count) return;
    const open = (socket) => {
      state.open++;
      // Never read again; what is kept cannot be collected
      socket.pause();
      kept.push(socket);
      next();
    };
    tunnel(target, '/endless', open, () => {
      state.failed++;
      next();
    });
  };
  for (let i = 0; i < 64; i++) next();
}

/** A program of its own, which is not kept from it by what else this one does. */
function floodLog() {
  // A pipe that is full is tried again; one that nobody reads ends it
  const script = `
    const lines = ('flood '.repeat(100) + '\\n').repeat(100);
    for (;;) try { fs.writeSync(1, lines); } catch (error) { if (error.code !== 'EAGAIN') throw error; }`;
  state.flood = spawn(process.execPath, ['-e', script], { stdio: 'inherit' });
}

http
  .createServer(async (request, response) => {
    const url = new URL(request.url, 'http://app');
    const target = url.searchParams.get('to');
    const count = Number(url.searchParams.get('count'));
    if (url.pathname === '/fetch') return response.end(await fetchText(target));
    if (url.pathname === '/state') return response.end(JSON.stringify({ open: state.open, failed: state.failed }));
    if (url.pathname === '/endless') {
      const block = Buffer.alloc(65536);
      const write = () => {
        while (!response.destroyed && response.write(block));
      };
      response.on('drain', write);
      return write();
    }
    if (url.pathname === '/log') {
      const prefix = url.searchParams.get('prefix');
      for (let line = 0; line < count; line++) console.log(`${prefix} ${line} of ${count}`);
    }
    if (url.pathname === '/hostile') {
      state.hostile = true;
      openConnections(target, count);
      floodLog();
    }
    if (url.pathname === '/calm') {
      state.hostile = false;
      state.flood.kill();
      for (const socket of kept.splice(0)) socket.destroy();
    }
    response.end('done');
  })
  .listen(Number(process.argv[2] ?? 8000), '127.0.0.1');
