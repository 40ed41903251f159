import { HOSTNAME } from './etc-files.ts';

/** What container engines give a process whose image sets no PATH. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface EnvironmentOptions {
  /** `NAME=value`, as in the image. */
  readonly image: readonly string[];
  readonly home: string;
  /** Port of the egress proxy, where there is one. */
  readonly proxyPort?: number;
  /** Port of the attestation API, where there is one. */
  readonly apiPort?: number;
}

/**
 * The app's environment: what container engines add (PATH, HOSTNAME, HOME) unless the image sets it, the image's own,
 * and where odyn's own servers are, which replaces the image's: without the proxy nothing outside can be reached.
 */
export function appEnvironment({ image, home, proxyPort, apiPort }: EnvironmentOptions): Record<string, string> {
  const env: Record<string, string> = { PATH: DEFAULT_PATH, HOSTNAME };
  for (const pair of image) {
    const split = pair.indexOf('=');
    env[pair.slice(0, split)] = pair.slice(split + 1);
  }
  env.HOME ??= home;
  if (apiPort !== undefined) env.ENCLAVER_API = `http://127.0.0.1:${apiPort}`;
  if (proxyPort === undefined) return env;
  const proxy = `http://127.0.0.1:${proxyPort}/`;
  for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY']) env[name] = proxy;
  for (const name of ['no_proxy', 'NO_PROXY']) env[name] = 'localhost,127.0.0.1';
  return env;
}
