import type { OperationRequest, PublishedPort } from '@enclaver/bus';
import { type IngressPort, type Manifest, needsPeer } from '@enclaver/manifest';
import { limits } from '../limits.ts';
import { SupervisorError } from '../supervisor-error.ts';

type Asked = Pick<OperationRequest<'supervisor', 'run'>, 'publish' | 'publishAll'>;

/**
 * What is asked for, or each port of the manifest under its own number. Throws `PORT_NOT_IN_MANIFEST`, `PORT_NOT_FOR_HTTP`,
 * `TOO_MANY_PORTS`.
 */
export function publishedPorts(asked: Asked, manifest: Manifest): PublishedPort[] {
  const ports = allOf(asked, manifest);
  const bytes = JSON.stringify(ports).length;
  if (ports.length <= limits.publishedPorts && bytes <= limits.publishedBytes) return ports;
  const message =
    `${ports.length} ports and routes of ${bytes} bytes are to be published; ` +
    `allowed are ${limits.publishedPorts} of ${limits.publishedBytes} bytes of one enclave`;
  throw new SupervisorError('TOO_MANY_PORTS', message, { remedy: 'publish fewer: name them with -p' });
}

function allOf({ publish, publishAll }: Asked, manifest: Manifest): PublishedPort[] {
  const known = manifest.ingress.map(({ listenPort }) => listenPort);
  const reported = new Set(manifest.ingress.filter(needsPeer).map(({ listenPort }) => listenPort));
  const complete = ({ reportPeer: _, protocol, route, ...port }: PublishedPort): PublishedPort => ({
    ...port,
    ...(protocol === 'http' ? { protocol, route: route ?? {} } : {}),
    ...(reported.has(port.listenPort) ? { reportPeer: true } : {}),
  });
  if (publish === undefined) {
    const host = publishAll === true ? '0.0.0.0' : '127.0.0.1';
    return known.map((listenPort) => complete({ listenPort, host, port: listenPort }));
  }
  for (const { listenPort, protocol } of publish) {
    const port = manifest.ingress.find((each) => each.listenPort === listenPort);
    if (port !== undefined) {
      if (protocol === 'http') checkHttp(port);
      continue;
    }
    throw new SupervisorError(
      'PORT_NOT_IN_MANIFEST',
      `port ${listenPort} is no ingress of the manifest; it has ${known.length === 0 ? 'none' : known.join(', ')}`,
      { remedy: 'add it to `ingress` in the manifest and build again' },
    );
  }
  return publish.map(complete);
}

/** The parent reads and shares out what comes in HTTP mode, over connections that are nobody's: both must suit the port. */
function checkHttp(port: IngressPort): void {
  const reason =
    port.tls !== undefined
      ? 'its TLS ends inside the enclave, where the outer-proxy cannot read'
      : needsPeer(port)
        ? 'its `clients` or `proxy_protocol` needs one connection for each client'
        : undefined;
  if (reason === undefined) return;
  throw new SupervisorError('PORT_NOT_FOR_HTTP', `port ${port.listenPort} cannot be published as HTTP: ${reason}`, {
    remedy: `publish it as TCP: leave out /http; or name an ingress without tls, clients and proxy_protocol`,
  });
}
