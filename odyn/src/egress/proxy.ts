import { createServer, type IncomingMessage, type Server } from 'node:http';
import { hasBody, type KeptConnections, pipelines } from '@enclaver/http-forward';
import type { Relay } from '@enclaver/vsock';
import { limits } from '../limits.ts';
import { Forwarder } from './forward.ts';
import type { Gate } from './gate.ts';
import { tunnel } from './tunnel.ts';
import { forwardUpgrade } from './upgrade.ts';

/** The HTTP proxy that the app's proxy variables name. It reads strictly: what could be read in two ways is refused. */
export function createProxy(gate: Gate, relay: Relay, connections: KeptConnections): Server {
  const forwarder = new Forwarder(gate, connections);
  const server = createServer({
    maxHeaderSize: limits.egressHeaderBytes,
    insecureHTTPParser: false,
    // framing.ts asks for one: Node would refuse the request and go on with the next, wherever that begins
    requireHostHeader: false,
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
  const pipelineOf = pipelines(limits.egressPipelined);
  server.on('request', (request, response) => {
    pipelineOf(request.socket).add(() => void forwarder.forward(request, response), response);
  });
  server.on('connect', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    pipelineOf(socket).addLast(() => void tunnel(gate, relay, request, socket, head));
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    pipelineOf(socket).addLast(() => void forwardUpgrade(gate, relay, request, socket, head));
  });
  return server;
}

/** Others are answered as if they had not asked, which HTTP allows: h2c has no use through a proxy, and a body is read. */
function asksForUpgrade(request: IncomingMessage): boolean {
  const { method, headers } = request;
  return method === 'GET' && !hasBody(request) && headers.upgrade?.trim().toLowerCase() !== 'h2c';
}
