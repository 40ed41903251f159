import type { OwnHttp } from '../../egress/own-http.ts';
import { KmsError } from '../kms-error.ts';
import { ContainerAgent, containerUrl } from './container.ts';
import type { CredentialSource, Credentials } from './credentials.ts';
import { MetadataService } from './metadata-service.ts';

export type Environment = Readonly<Record<string, string>>;

const METADATA_V4 = 'http://169.254.169.254';
const METADATA_V6 = 'http://[fd00:ec2::254]';
/** Ids of access keys and of temporary ones as AWS makes them (IAM user guide, unique identifiers). */
const AWS_KEY_ID = /^(?:AKIA|ASIA)[A-Z0-9]{16}$/;

/** The pair that the image itself carries, a placeholder perhaps. */
export function imageCredentials(env: Environment): Credentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: token } = env;
  if (!accessKeyId || !secretAccessKey) return undefined;
  return { accessKeyId, secretAccessKey, ...(token ? { sessionToken: token } : {}) };
}

/** Whether the image carries a pair that AWS can know. Others let an SDK sign, and say nothing to AWS. */
function fromImage(env: Environment): Credentials | undefined {
  const found = imageCredentials(env);
  return found !== undefined && AWS_KEY_ID.test(found.accessKeyId) ? found : undefined;
}

/** Where the metadata service is: `AWS_EC2_METADATA_SERVICE_ENDPOINT`, or by `…_ENDPOINT_MODE`. @throws KmsError */
export function metadataUrl(env: Environment): URL {
  const isV6 = env.AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE?.trim().toLowerCase() === 'ipv6';
  const text = env.AWS_EC2_METADATA_SERVICE_ENDPOINT || (isV6 ? METADATA_V6 : METADATA_V4);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:') return url;
  throw new KmsError('KMS_CREDENTIALS', 'AWS_EC2_METADATA_SERVICE_ENDPOINT of the image is no URL with http', {
    remedy: 'take it away, or set it to one such as http://169.254.169.254',
  });
}

/** Where credentials are asked for; undefined when the image carries them. @throws KmsError KMS_CREDENTIALS */
export function credentialUrl(env: Environment): URL | undefined {
  return fromImage(env) === undefined ? (containerUrl(env) ?? metadataUrl(env)) : undefined;
}

/**
 * By the image's environment, which is measured: its own pair, the agent of a container, and in all other cases the
 * metadata service of the parent instance.
 * @param readFile reads a file of the image
 * @throws KmsError KMS_CREDENTIALS
 */
export function credentialSource(
  env: Environment,
  http: OwnHttp,
  readFile: (path: string) => string,
): CredentialSource {
  const own = fromImage(env);
  if (own !== undefined) return { name: "the image's environment", fetch: async () => own };
  const url = containerUrl(env);
  if (url === undefined) return new MetadataService(http, metadataUrl(env));
  const { AWS_CONTAINER_AUTHORIZATION_TOKEN: token, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file } = env;
  return new ContainerAgent(http, url, file ? readFile(file).trim() : token);
}

/** What has to be reached for them, as patterns of `egress.allow`. @throws KmsError KMS_CREDENTIALS */
export function credentialDestinations(env: Environment): string[] {
  const url = credentialUrl(env);
  if (url === undefined) return [];
  return [`${url.hostname}:${portOf(url)}`];
}

export function portOf({ port, protocol }: URL): number {
  return Number(port || (protocol === 'https:' ? 443 : 80));
}
