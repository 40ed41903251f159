/** TCP_LISTEN of the kernel, as its socket tables write it. */
const LISTEN = '0A';

/** Addresses a connection to 127.0.0.1 reaches, as the tables write them: words in the machine's byte order. */
const REACHABLE = new Set([
  '00000000',
  '0100007F',
  '00000000000000000000000000000000',
  '0000000000000000FFFF00000100007F',
]);

/**
 * Ports at which somebody listens for connections to 127.0.0.1, from /proc/net/tcp or tcp6 in pieces. The kernel writes those
 * who listen first: no piece behind them is taken, however many connections there are.
 */
export function listeningPorts(pieces: Iterable<string>): Set<number> {
  const ports = new Set<number>();
  let isHead = true;
  let rest = '';
  for (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, local = '', , state] = line.trim().split(/\s+/);
      const [address = '', port = ''] = local.split(':');
      if (!isHead && state !== LISTEN) return ports;
      if (REACHABLE.has(address)) ports.add(Number.parseInt(port, 16));
      isHead = false;
    }
  }
  return ports;
}
