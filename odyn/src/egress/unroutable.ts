import { readFileSync } from 'node:fs';

/**
 * How often a program has tried to go out past us, which fails with ENETUNREACH: what the kernel counts as without a
 * route (`OutNoRoutes`), in IPv4 and IPv6, since the start of the machine. 0 where it does not say.
 */
export function countUnroutable(folder = '/proc/net'): number {
  return (
    countIn(`${folder}/snmp`, /^Ip: (.*OutNoRoutes.*)\nIp: (.*)$/m) +
    countIn(`${folder}/snmp6`, /^Ip6(OutNoRoutes)\s+(\d+)$/m)
  );
}

function countIn(path: string, lines: RegExp): number {
  const [, names = '', values = ''] = lines.exec(read(path)) ?? [];
  return Number(values.split(' ')[names.split(' ').indexOf('OutNoRoutes')] ?? 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // A kernel without IPv6 has no such file
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
