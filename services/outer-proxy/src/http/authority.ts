import { RequestError } from './request-error.ts';

const AUTHORITY = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,252}))(?::\d{0,5})?$/i;

/** The name in a `Host` header or `:authority`, in small letters, without port and last dot. @throws RequestError HOST_INVALID */
export function hostOf(authority: string): string {
  const name = AUTHORITY.exec(authority)?.[1];
  if (name === undefined) throw new RequestError(400, 'HOST_INVALID', 'Host is no name with at most a port');
  return name.toLowerCase().replace(/\.$/, '');
}

/**
 * Path and query of a request target. One in absolute form, which servers have to take (RFC 9112, section 3.2.2), must be for the
 * same host as the `Host` header: else two readers could take it for two different requests. Of an `OPTIONS` without a path it is
 * `*` (section 3.2.4).
 * @throws RequestError HOST_INVALID, REQUEST_INVALID
 */
export function targetOf(method: string, target: string, authority: string): string {
  if (target.startsWith('/') || target === '*') return target;
  const match = /^http:\/\/([^/?#]*)([^#]*)$/i.exec(target);
  if (match === null) throw new RequestError(400, 'REQUEST_INVALID', 'the request target is no path');
  const [, named = '', rest = ''] = match;
  if (named.toLowerCase() !== authority.toLowerCase()) {
    throw new RequestError(400, 'HOST_INVALID', 'the request target names another host than Host');
  }
  if (rest === '' && method === 'OPTIONS') return '*';
  return rest.startsWith('/') ? rest : `/${rest}`;
}
