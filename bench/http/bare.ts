// `node bare.ts PORT SERVER_PORT`: passes requests on with `node:http` alone.
import { Agent, createServer, request } from 'node:http';

const [port, server] = process.argv.slice(2).map(Number);
const agent = new Agent({ keepAlive: true, maxFreeSockets: 64 });
createServer((incoming, response) => {
  const { method, url, rawHeaders } = incoming;
  const onward = request({ agent, host: '127.0.0.1', port: server, method, path: url, headers: rawHeaders });
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  incoming.pipe(onward);
}).listen(port, '127.0.0.1');
