import type { AccessLog } from '../access-log.ts';
import { limits } from '../limits.ts';
import type { OnRequestEnd } from './request-entry.ts';

/** Writes a line for each request at its end, in the shape of those of connections. */
export function requestLog(log: AccessLog): OnRequestEnd {
  return ({ client, method, authority, target, startedAt, enclave, status, code, bytesIn, bytesOut, outcome }) => {
    log.write({
      ...(enclave === undefined ? {} : { enclave: enclave.id, name: enclave.name }),
      direction: 'ingress',
      peer: client.port === undefined ? client.address : `${client.address}:${client.port}`,
      target: `port ${enclave?.listenPort ?? client.localPort}`,
      bytesIn,
      bytesOut,
      ms: Math.round(performance.now() - startedAt),
      end: outcome,
      method,
      host: withoutUser(authority).slice(0, limits.accessLogText),
      // The query stays out: it is where tokens and what people search for stand
      path: withoutUser(target).split('?', 1)[0]?.slice(0, limits.accessLogText) ?? '',
      status,
      ...(code === undefined ? {} : { code }),
    });
  };
}

/** A URI or an authority without the name and password that may stand before its host (RFC 3986, section 3.2.1). */
function withoutUser(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/?#]*@/i, '$1');
}
