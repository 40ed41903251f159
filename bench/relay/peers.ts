import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MOST_CONNECTIONS } from '../harness/connections.ts';
import { HAPROXY, missingPackage, NGINX, NGINX_STREAM, SOCAT } from '../harness/programs.ts';

/** A relay under test: how it is started, listening at `port`, relaying to the Unix socket at `target`. */
export interface Peer {
  readonly name: string;
  readonly needs: string | undefined;
  /** Connections begin with a PROXY v2 header, by which it lets them in. */
  readonly screens?: boolean;
  command(port: number, target: string, folder: string): string[];
}

/** The rules that ours decides by, too. */
const SCREENING = ` accept-proxy
  tcp-request session reject if { src 10.0.0.0/8 }
  tcp-request session reject if !{ src 127.0.0.0/8 }`;

function ours(name: string, kind: string): Peer {
  const program = join(import.meta.dirname, 'relay-process.ts');
  return { name, needs: undefined, command: (port, target) => [process.execPath, program, kind, String(port), target] };
}

function haproxy(name: string, bufferBytes: number, screens = false): Peer {
  return {
    name,
    needs: missingPackage({ haproxy: HAPROXY }),
    screens,
    command: (port, target, folder) => {
      const file = join(folder, `haproxy-${port}.cfg`);
      writeFileSync(
        file,
        `global
  maxconn ${MOST_CONNECTIONS + 50}
  nbthread 1
  tune.bufsize ${bufferBytes}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen l
  bind 127.0.0.1:${port}${screens ? SCREENING : ''}
  server s unix@${target}
`,
      );
      return [HAPROXY, '-db', '-q', '-f', file];
    },
  };
}

function nginx(name: string, bufferBytes: number): Peer {
  return {
    name,
    needs: missingPackage({ nginx: NGINX, 'libnginx-mod-stream': NGINX_STREAM }),
    command: (port, target, folder) => {
      const file = join(folder, `nginx-${port}.conf`);
      // Without proxy_half_close nginx cuts an upload when its client has ended it.
      writeFileSync(
        file,
        `load_module ${NGINX_STREAM};
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(folder, `nginx-${port}.pid`)};
error_log /dev/null;
events { worker_connections 9000; }
stream {
  access_log off;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    proxy_pass unix:${target};
    proxy_half_close on;
    proxy_buffer_size ${bufferBytes};
    proxy_timeout 1h;
    tcp_nodelay on;
  }
}
`,
      );
      return [NGINX, '-c', file, '-p', folder];
    },
  };
}

function socat(): Peer {
  return {
    name: 'socat fork, 64 k',
    needs: missingPackage({ socat: SOCAT }),
    command: (port, target) => [
      SOCAT,
      '-b65536',
      '-t30',
      `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096`,
      `UNIX-CONNECT:${target}`,
    ],
  };
}

export const peers: readonly Peer[] = [
  ours('ours, native accept', 'native'),
  { ...ours('ours, first bytes decide', 'screened'), screens: true },
  ours('ours, JavaScript decides', 'decided'),
  haproxy('HAProxy, default 16 k', 16384),
  haproxy('HAProxy, 256 k', 262144),
  haproxy('HAProxy, 256 k, header and rules', 262144, true),
  nginx('nginx stream, default 16 k', 16384),
  nginx('nginx stream, 256 k', 262144),
  socat(),
  ours('Node pipe', 'pipe'),
];
