import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Relay } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { forward, forwardUpgrade } from './forward.ts';
import type { Gate } from './gate.ts';
import { tunnel } from './tunnel.ts';

/** The HTTP proxy that the app's proxy variables name. It reads strictly: what could be read in two ways is refused. */
export function createProxy(gate: Gate, relay: Relay): Server {
  const server = createServer({
    maxHeaderSize: limits.egressHeaderBytes,
    insecureHTTPParser: false,
    requireHostHeader: true,
    rejectNonStandardBodyWrites: false,
    headersTimeout: limits.egressHeadersMs,
    // Uploads may take any time; what does not move is cut by the idle time
    requestTimeout: 0,
    keepAliveTimeout: limits.egressKeepAliveMs,
    connectionsCheckingInterval: 5_000,
    noDelay: true,
    shouldUpgradeCallback: asksForUpgrade,
  });
  server.maxConnections = limits.egressConnections;
  // Node leaves out what is above this count, a Content-Length perhaps; their size bounds them
  server.maxHeadersCount = 0;
  server.timeout = limits.egressIdleMs;
  server.on('request', (request, response) => void forward(gate, request, response));
  server.on('connect', (request, socket, head) => void tunnel(gate, relay, request.url ?? '', socket, head));
  server.on('upgrade', (request, socket, head) => void forwardUpgrade(gate, relay, request, socket, head));
  return server;
}

/** Others are answered as if they had not asked, which HTTP allows: h2c has no use through a proxy, and a body is read. */
function asksForUpgrade({ method, headers }: IncomingMessage): boolean {
  const bodiless = headers['content-length'] === undefined && headers['transfer-encoding'] === undefined;
  return method === 'GET' && bodiless && headers.upgrade?.trim().toLowerCase() !== 'h2c';
}
