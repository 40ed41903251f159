import { existsSync } from 'node:fs';

/** Where Debian's packages put what ours is measured beside. */
export const HAPROXY = '/usr/sbin/haproxy';
export const NGINX = '/usr/sbin/nginx';
export const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';
export const SOCAT = '/usr/bin/socat';

/** The package of the first of these files that is missing. */
export function missingPackage(files: Readonly<Record<string, string>>): string | undefined {
  return Object.keys(files).find((name) => !existsSync(files[name] as string));
}
