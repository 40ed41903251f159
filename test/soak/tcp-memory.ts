import { readFileSync } from 'node:fs';

/**
 * Connections of this network namespace that the kernel has given up since its start because all TCP of the machine had too much memory
 * (`net.ipv4.tcp_mem`, which no namespace has for itself): their clients get a reset in the middle of an answer.
 */
export function givenUpForMemory(): number {
  const [names = '', values = ''] = readFileSync('/proc/net/netstat', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'));
  const value = values.split(' ')[names.split(' ').indexOf('TCPAbortOnMemory')];
  if (value === undefined) throw new Error('/proc/net/netstat has no TCPAbortOnMemory');
  return Number(value);
}
