import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NODE } from '../harness/pinned.ts';
import { missingPackage } from '../harness/programs.ts';

/** A forward proxy under test: the processes it takes to listen at `port`, each to be ready before the next is started. */
export interface Peer {
  readonly name: string;
  readonly needs: string | undefined;
  programs(port: number, folder: string): Program[];
}

export interface Program {
  readonly command: string[];
  /** Where it answers when it is ready; one without says so on standard output. */
  readonly port?: number;
}

const TINYPROXY = '/usr/bin/tinyproxy';
const SQUID = '/usr/sbin/squid';
/** From the port of a proxy to that of the one behind it. */
const BEHIND = 100;

const ours: Peer = {
  name: 'ours, two hops',
  needs: undefined,
  programs: (port, folder) => {
    const socket = join(folder, 'parent_17002');
    const at = (room: string): string => join(import.meta.dirname, '../..', room, 'test/egress-process.ts');
    return [
      { command: [...NODE, at('services/outer-proxy'), socket] },
      { command: [...NODE, at('odyn'), String(port), socket] },
    ];
  },
};

/** One of them, or two in a row as our halves are. */
function peer(
  name: string,
  program: string,
  hops: 1 | 2,
  command: (port: number, folder: string, next?: number) => string[],
): Peer {
  return {
    name: hops === 1 ? name : `${name}, two in a row`,
    needs: missingPackage({ [name]: program }),
    programs: (port, folder) => {
      const behind = port + BEHIND;
      if (hops === 1) return [{ command: command(port, folder), port }];
      return [
        { command: command(behind, folder), port: behind },
        { command: command(port, folder, behind), port },
      ];
    },
  };
}

function tinyproxy(port: number, folder: string, next?: number): string[] {
  const file = join(folder, `tinyproxy-${port}.conf`);
  const upstream = next === undefined ? '' : `Upstream http 127.0.0.1:${next}\n`;
  writeFileSync(
    file,
    `Port ${port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 300\nLogLevel Critical\nLogFile "${folder}/tinyproxy.log"\nAllow 127.0.0.1\n${upstream}`,
  );
  return [TINYPROXY, '-d', '-c', file];
}

function squid(port: number, folder: string, next?: number): string[] {
  const file = join(folder, `squid-${port}.conf`);
  const parent =
    next === undefined
      ? ''
      : `cache_peer 127.0.0.1 parent ${next} 0 no-query no-digest default\nnever_direct allow all\n`;
  writeFileSync(
    file,
    `http_port 127.0.0.1:${port}
visible_hostname bench-${port}
http_access allow localhost
cache deny all
cache_mem 8 MB
access_log none
cache_log /dev/null
pid_filename none
max_filedescriptors 4096
pinger_enable off
coredump_dir ${folder}
${parent}`,
  );
  return [SQUID, '-N', '-n', `bench${port}`, '-f', file];
}

export const peers: readonly Peer[] = [
  ours,
  peer('tinyproxy', TINYPROXY, 1, tinyproxy),
  peer('tinyproxy', TINYPROXY, 2, tinyproxy),
  peer('squid', SQUID, 1, squid),
  peer('squid', SQUID, 2, squid),
];
