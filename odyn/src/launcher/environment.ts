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
  /** The KMS proxy, where there is one. */
  readonly kms?: KmsEnvironment;
}

export interface KmsEnvironment {
  readonly port: number;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Whether they also stand where AWS's SDKs look first. */
  readonly forAllOfAws: boolean;
}

/** `NAME=value` taken apart. */
export function readEnvironment(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const split = pair.indexOf('=');
      return [pair.slice(0, split), pair.slice(split + 1)];
    }),
  );
}

/**
 * The app's environment: what container engines add (PATH, HOSTNAME, HOME) unless the image sets it, the image's own,
 * and where odyn's own servers are, which replaces the image's: without the proxy nothing outside can be reached.
 */
export function appEnvironment({ image, home, proxyPort, apiPort, kms }: EnvironmentOptions): Record<string, string> {
  const env: Record<string, string> = { PATH: DEFAULT_PATH, HOSTNAME, ...readEnvironment(image) };
  env.HOME ??= home;
  if (apiPort !== undefined) env.ENCLAVER_API = `http://127.0.0.1:${apiPort}`;
  if (kms !== undefined) Object.assign(env, kmsVariables(kms));
  if (proxyPort === undefined) return env;
  const proxy = `http://127.0.0.1:${proxyPort}/`;
  for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY']) env[name] = proxy;
  for (const name of ['no_proxy', 'NO_PROXY']) env[name] = 'localhost,127.0.0.1';
  return env;
}

/** `AWS_KMS_ENDPOINT` is the original's; AWS's SDKs since 2023 take the other one by themselves. */
function kmsVariables({ port, credentials, forAllOfAws }: KmsEnvironment): Record<string, string> {
  const { accessKeyId, secretAccessKey } = credentials;
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    AWS_KMS_ENDPOINT: endpoint,
    AWS_ENDPOINT_URL_KMS: endpoint,
    ENCLAVER_KMS_ACCESS_KEY_ID: accessKeyId,
    ENCLAVER_KMS_SECRET_ACCESS_KEY: secretAccessKey,
    ...(forAllOfAws ? { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } : {}),
  };
}
