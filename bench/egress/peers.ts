import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A forward proxy under test: the processes it takes to listen at `port`, each started when the one before is ready. */
export interface Peer {
  readonly name: string;
  readonly needs: string | undefined;
  commands(port: number, folder: string): string[][];
}

const ours: Peer = {
  name: 'ours, two hops',
  needs: undefined,
  commands: (port, folder) => {
    const socket = join(folder, 'parent_17002');
    const at = (room: string): string => join(import.meta.dirname, '../..', room, 'test/egress-process.ts');
    return [
      [process.execPath, at('services/outer-proxy'), socket],
      [process.execPath, at('odyn'), String(port), socket],
    ];
  },
};

const tinyproxy: Peer = {
  name: 'tinyproxy',
  needs: existsSync('/usr/bin/tinyproxy') ? undefined : 'tinyproxy',
  commands: (port, folder) => {
    const file = join(folder, 'tinyproxy.conf');
    writeFileSync(
      file,
      `Port ${port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 300\nLogLevel Critical\nLogFile "${folder}/tinyproxy.log"\nAllow 127.0.0.1\n`,
    );
    return [['/usr/bin/tinyproxy', '-d', '-c', file]];
  },
};

const squid: Peer = {
  name: 'squid',
  needs: existsSync('/usr/sbin/squid') ? undefined : 'squid',
  commands: (port, folder) => {
    const file = join(folder, 'squid.conf');
    writeFileSync(
      file,
      `http_port 127.0.0.1:${port}
http_access allow localhost
cache deny all
cache_mem 8 MB
access_log none
cache_log /dev/null
pid_filename none
max_filedescriptors 4096
pinger_enable off
coredump_dir ${folder}
`,
    );
    return [['/usr/sbin/squid', '-N', '-f', file]];
  },
};

export const peers: readonly Peer[] = [ours, tinyproxy, squid];
