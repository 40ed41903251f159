// An app that works without being asked, once it was told whom to call: ten numbered log lines and one numbered request to the
// outside five times a second. Port 8080 answers requests, 8081 gives back each line.
const http = require('node:http');
const net = require('node:net');

const TICK_MS = 200;
const LINES_PER_TICK = 10;

const egress = { done: 0, failed: [] };
let line = 0;
let tick = 0;

process.on('SIGTERM', () => process.exit(42));

function callOut(outside, number) {
  const proxy = new URL(process.env.http_proxy);
  const failed = (error) => egress.failed.push(`${number}: ${error}`);
  http
    .get({ host: proxy.hostname, port: proxy.port, path: `${outside}/${number}`, agent: false }, (answer) => {
      let body = '';
      answer.on('error', failed).on('data', (text) => (body += text));
      answer.on('end', () => {
        if (answer.statusCode === 200) egress.done++;
        else failed(`${answer.statusCode} ${body}`);
      });
    })
    .on('error', failed);
}

function work(outside) {
  setInterval(() => {
    for (let each = 0; each < LINES_PER_TICK; each++) process.stdout.write(`line ${line++} ${'.'.repeat(80)}\n`);
    callOut(outside, tick++);
  }, TICK_MS);
}

http
  .createServer((request, response) => {
    const url = new URL(request.url, 'http://app');
    if (url.pathname === '/work') work(url.searchParams.get('outside'));
    response.end(url.pathname === '/egress' ? JSON.stringify(egress) : 'hello');
  })
  .listen(8080, '127.0.0.1');

net.createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket)).listen(8081, '127.0.0.1');
