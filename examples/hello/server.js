// A small web app that knows nothing of enclaves: it listens on its port, reaches the outside through the proxy that
// HTTP_PROXY names if there is one (NODE_USE_ENV_PROXY), logs, and exits with a code.
import http from 'node:http';
import os from 'node:os';

const [greeting = 'Hello'] = process.argv.slice(2);
const PORT = Number(process.env.PORT ?? 8080);

function greet(_url, response) {
  const uid = process.getuid();
  response.end(`${greeting} from uid ${uid} in ${process.cwd()} on ${os.hostname()}\n`);
}

async function fetchUrl(url, response) {
  const target = url.searchParams.get('url');
  try {
    const answer = await fetch(target, { signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) console.warn(`${target} answered ${answer.status}`);
    response.statusCode = answer.status;
    response.end(await answer.text());
  } catch (error) {
    let cause = error;
    while (cause.cause !== undefined) cause = cause.cause;
    console.warn(`${target} could not be fetched: ${cause.message}`);
    // A proxy that refuses a tunnel has a status, which fetch tells only in words
    response.statusCode = Number(/Proxy response \((\d{3})\)/.exec(cause.message)?.[1] ?? 502);
    response.end(`${cause.message}\n`);
  }
}

function stop(url, response) {
  const code = Number(url.searchParams.get('code') ?? 0);
  response.end(`stopping with code ${code}\n`, () => server.close(() => process.exit(code)));
  response.socket.end();
}

const routes = { 'GET /': greet, 'GET /fetch': fetchUrl, 'POST /stop': stop };

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://hello');
  console.log(`${request.method} ${request.url}`);
  const route = routes[`${request.method} ${url.pathname}`];
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('connection', 'close');
  if (route !== undefined) return route(url, response);
  console.warn(`no route for ${request.method} ${url.pathname}`);
  response.statusCode = 404;
  response.end('GET /, GET /fetch?url=…, POST /stop?code=N\n');
});

process.on('SIGTERM', () => {
  console.log('asked to stop');
  server.close(() => process.exit(0));
});

server.listen(PORT, () => console.log(`listening on ${server.address().port}`));
