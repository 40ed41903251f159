// An ordinary app: `node app.ts PORT` answers every request with 64 bytes of JSON, by node:http. Says "ready".
import { once } from 'node:events';
import { createServer } from 'node:http';

const [port] = process.argv.slice(2).map(Number);
const LENGTH = 64;
let answered = 0;
const server = createServer((request, response) => {
  const body = JSON.stringify({ answered: answered++, path: request.url }).padEnd(LENGTH);
  response.setHeader('Content-Type', 'application/json');
  response.end(body);
}).listen({ port, host: '127.0.0.1', backlog: 4096 });
await once(server, 'listening');
process.stdout.write('ready\n');
