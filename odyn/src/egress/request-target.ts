import { bracketed, type Destination, DestinationError, parseDestination } from '@enclaver/egress-policy';
import { limits } from '../limits.ts';

const HTTP_PORT = 80;

/** Destination of `CONNECT host:port`. @throws DestinationError */
export function connectTarget(target: string): Destination {
  const { host, port } = splitAuthority(target);
  if (port === undefined) throw new DestinationError('CONNECT needs host:port');
  return parseDestination(host, port);
}

export interface ForwardTarget {
  readonly destination: Destination;
  /** Request target in origin form. */
  readonly path: string;
  /** Value of the header `Host`. */
  readonly hostHeader: string;
}

/** Destination and path of an absolute-form request. The path is passed on byte for byte. @throws DestinationError */
export function forwardTarget(method: string, target: string): ForwardTarget {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^#]*)(#.*)?$/is.exec(target);
  if (match === null) throw new DestinationError('a proxy is asked with a whole URL, such as http://host/path');
  const [, scheme = '', authority = '', rest = '', fragment] = match;
  if (scheme.toLowerCase() !== 'http') {
    throw new DestinationError(`the proxy forwards http:// only; ${scheme.toLowerCase()}:// needs CONNECT`);
  }
  if (fragment !== undefined) throw new DestinationError('a request has no fragment');
  const { host, port = HTTP_PORT } = splitAuthority(authority);
  const destination = parseDestination(host, port);
  const hostHeader = `${bracketed(destination.host)}${port === HTTP_PORT ? '' : `:${port}`}`;
  return { destination, path: pathOf(method, rest), hostHeader };
}

function pathOf(method: string, rest: string): string {
  if (rest === '') return method === 'OPTIONS' ? '*' : '/';
  return rest.startsWith('?') ? `/${rest}` : rest;
}

function splitAuthority(text: string): { host: string; port?: number } {
  if (text.length > limits.egressAuthority) throw new DestinationError('the destination is too long');
  if (text.includes('@')) throw new DestinationError('a destination has no user name');
  const match = /^(\[[^[\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(text);
  if (match === null) throw new DestinationError(`${JSON.stringify(text)} is not host:port`);
  const [, host = '', digits = ''] = match;
  if (digits === '') return { host };
  const port = Number(digits);
  if (digits.length > 5 || port < 1 || port > 65535) throw new DestinationError(`${digits} is no port`);
  return { host, port };
}
