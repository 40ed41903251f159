/** TCP_LISTEN of the kernel, as its socket tables write it. */
const LISTEN = '0A';

/** Addresses a connection to 127.0.0.1 reaches, as the tables write them: words in the machine's byte order. */
const REACHABLE = new Set([
  '00000000',
  '0100007F',
  '00000000000000000000000000000000',
  '0000000000000000FFFF00000100007F',
]);

/** Ports at which somebody listens for connections to 127.0.0.1, from the text of /proc/net/tcp or tcp6. */
export function listeningPorts(table: string): Set<number> {
  const ports = new Set<number>();
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', , state] = line.trim().split(/\s+/);
    const [address = '', port = ''] = local.split(':');
    if (state === LISTEN && REACHABLE.has(address)) ports.add(Number.parseInt(port, 16));
  }
  return ports;
}
