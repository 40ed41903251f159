import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HAPROXY, missingPackage, NGINX } from '../harness/programs.ts';

/** A reverse proxy under test. */
export interface Peer {
  readonly name: string;
  readonly needs: string | undefined;
  /** Listens at `port` for what a server at `server` answers. */
  command(port: number, server: number, folder: string): string[];
}

const ours = (mode: 'http' | 'tcp'): Peer => ({
  name: `ours, ${mode.toUpperCase()} mode`,
  needs: undefined,
  command: (port, server) => {
    const program = join(import.meta.dirname, '../../services/outer-proxy/test/http-process.ts');
    return [process.execPath, program, mode, String(port), String(server)];
  },
});

const haproxy: Peer = {
  name: 'HAProxy, http',
  needs: missingPackage({ haproxy: HAPROXY }),
  command: (port, server, folder) => {
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(
      file,
      `global
  nbthread 1
defaults
  mode http
  option forwardfor
  http-reuse safe
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:${port}
  use_backend back if { hdr(host) -m beg 127.0.0.1 } { path_beg / }
backend back
  server app 127.0.0.1:${server}
`,
    );
    return [HAPROXY, '-db', '-f', file];
  },
};

const nginx: Peer = {
  name: 'nginx, proxy_pass',
  needs: missingPackage({ nginx: NGINX }),
  command: (port, server, folder) => {
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off; master_process off; pid ${folder}/nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000;
  upstream app { server 127.0.0.1:${server}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
`,
    );
    return [NGINX, '-p', folder, '-c', file];
  },
};

/** What Node's HTTP costs by itself, without routes, bounds, framing rules or counters: nobody should run it. */
const bare: Peer = {
  name: 'node:http twice, and nothing else',
  needs: undefined,
  command: (port, server) => [process.execPath, join(import.meta.dirname, 'bare.ts'), String(port), String(server)],
};

export const peers: readonly Peer[] = [ours('http'), ours('tcp'), bare, haproxy, nginx];
