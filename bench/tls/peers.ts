import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HAPROXY, missingPackage, NGINX, NGINX_STREAM } from '../harness/programs.ts';

/** What ends TLS at a Unix socket, `key.pem` and `cert.pem` being in `folder`, and gives the plain bytes to the port `app`. */
export interface Peer {
  readonly name: string;
  readonly needs: string | undefined;
  command(path: string, app: number, folder: string): string[];
}

const haproxy: Peer = {
  name: 'haproxy behind the same relay',
  needs: missingPackage({ haproxy: HAPROXY }),
  command: (path, app, folder) => {
    const [file, pair] = [join(folder, 'haproxy.cfg'), join(folder, 'pair.pem')];
    writeFileSync(pair, `${readFileSync(join(folder, 'cert.pem'))}${readFileSync(join(folder, 'key.pem'))}`);
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn 4000
  tune.ssl.cachesize 20000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen l
  bind unix@${path} ssl crt ${pair} ssl-min-ver TLSv1.2
  server s 127.0.0.1:${app}
`,
    );
    return [HAPROXY, '-db', '-q', '-f', file];
  },
};

const nginx: Peer = {
  name: 'nginx behind the same relay',
  needs: missingPackage({ nginx: NGINX, 'libnginx-mod-stream': NGINX_STREAM }),
  command: (path, app, folder) => {
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `load_module ${NGINX_STREAM};
daemon off; master_process off; pid ${join(folder, 'nginx.pid')}; error_log /dev/null;
events { worker_connections 4000; }
stream {
  access_log off;
  server {
    listen unix:${path} ssl;
    ssl_certificate ${join(folder, 'cert.pem')};
    ssl_certificate_key ${join(folder, 'key.pem')};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:s:10m;
    proxy_pass 127.0.0.1:${app};
  }
}
`,
    );
    return [NGINX, '-p', folder, '-c', file];
  },
};

export const peers: readonly Peer[] = [haproxy, nginx];
