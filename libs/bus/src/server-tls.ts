import { BlockList, isIP } from 'node:net';
import { BusError } from './bus-error.ts';

/** Paths of PEM files for nats-server. */
export interface ServerTls {
  cert: string;
  key: string;
  /** Clients have to show a certificate of this CA, too. */
  clientCa?: string | undefined;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Passwords in clear stay on the machine. Errors: `BUS_TLS_REQUIRED`. */
export function checkListenAddress(host: string, tls: ServerTls | undefined): void {
  const family = isIP(host);
  if (tls !== undefined || (family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4'))) return;
  throw new BusError({
    code: 'BUS_TLS_REQUIRED',
    message: `the bus shall listen on ${host}, which is not loopback, without TLS`,
    remedy: 'give it a certificate (`enclaver bus init --tls-cert … --tls-key … --tls-ca …`), or 127.0.0.1',
  });
}

/** The `tls` block of nats-server's configuration, TLS 1.2 and later. */
export function tlsConfig({ cert, key, clientCa }: ServerTls): string[] {
  const files = [`cert_file: ${JSON.stringify(cert)}`, `key_file: ${JSON.stringify(key)}`];
  const clients = clientCa === undefined ? [] : [`ca_file: ${JSON.stringify(clientCa)}`, 'verify: true'];
  return [`tls { ${[...files, ...clients].join(', ')} }`];
}
