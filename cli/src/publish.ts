import { isIP } from 'node:net';
import { type HttpRoute, httpRouteSchema, type PublishedPort, placeOf } from '@enclaver/bus';
import { InvalidArgumentError } from 'commander';

const UNIX_FORM = /^unix:(\/[^:]{1,106}):(\d{1,5})$/;
const FORM = /^(?:(\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|http)((?:,[^,]*)*))?$/;

/**
 * Reads `-p [ip:]host-port:enclave-port[/protocol]`, where the protocol is `tcp` or `http[,host=NAME][,path=/PREFIX][,h2c]`. An
 * IPv6 address stands in brackets; without an address it is 0.0.0.0, as with `docker run`. The original's pattern is not
 * anchored and takes `127.0.0.1:8080:80` for host port 1 (fault D15). `unix:/path:enclave-port` is a Unix socket.
 */
export function parsePublish(text: string, earlier: PublishedPort[] = []): PublishedPort[] {
  const [, path, inside] = UNIX_FORM.exec(text) ?? [];
  if (path !== undefined && Number(inside) >= 1 && Number(inside) <= 65535) {
    return [...earlier, { path, host: '127.0.0.1', port: 0, listenPort: Number(inside) }];
  }
  const match = FORM.exec(text);
  const host = (match?.[1] ?? '0.0.0.0').replace(/^\[|\]$/g, '');
  const port = Number(match?.[2]);
  const listenPort = Number(match?.[3]);
  if (match === null || isIP(host) === 0 || port > 65535 || listenPort < 1 || listenPort > 65535) {
    throw new InvalidArgumentError(
      'Allowed is [ip:]host-port:enclave-port[/tcp|/http], such as 8080:80, 127.0.0.1:8080:80 or 80:8080/http,host=a.example.com,path=/v1; and unix:/path:enclave-port, 106 characters of path at most.',
    );
  }
  const options = (match[5] ?? '').split(',').slice(1);
  if (match[4] === 'http')
    return [...earlier, { host, port, listenPort, protocol: 'http', route: parseRoute(options) }];
  if (options.length > 0) throw new InvalidArgumentError(`'${options[0]}' is for /http; a TCP port has no options.`);
  return [...earlier, { host, port, listenPort }];
}

/** What makes a port an HTTP port, as `-p` takes it: `/http,host=a.example.com`; nothing for a TCP port. */
export function formatProtocol({ protocol, route = {} }: Pick<PublishedPort, 'protocol' | 'route'>): string {
  if (protocol !== 'http') return '';
  const options = Object.entries(route).map(([key, value]) => (value === true ? `,${key}` : `,${key}=${value}`));
  return `/http${options.join('')}`;
}

/** Published ports in a line: where each is open, and where it leads. */
export function formatPorts(ingress: readonly PublishedPort[]): string {
  return ingress.map((one) => `${placeOf(one)}->${one.listenPort}${formatProtocol(one)}`).join(', ');
}

function parseRoute(options: string[]): HttpRoute {
  const route: HttpRoute = {};
  for (const option of options) {
    const [key = '', value] = option.split(/=(.*)/s);
    if (key in route) throw new InvalidArgumentError(`${key} is given twice.`);
    if (key === 'host' && value !== undefined) route.host = value.toLowerCase();
    else if (key === 'path' && value !== undefined) route.path = value;
    else if (option === 'h2c') route.h2c = true;
    else
      throw new InvalidArgumentError(`'${option}' is no option of /http; allowed are host=NAME, path=/PREFIX and h2c.`);
  }
  const checked = httpRouteSchema.safeParse(route);
  if (checked.success) return checked.data;
  throw new InvalidArgumentError(
    checked.error.issues[0]?.path[0] === 'host'
      ? `'${route.host}' is no host; allowed is a name without port, such as api.example.com, or *.example.com for all below it.`
      : `'${route.path}' is no path; allowed is / and a URL path without query, 1,024 characters at most and no comma, such as /v1.`,
  );
}
