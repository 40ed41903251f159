import type { OwnHttp } from '../../egress/own-http.ts';
import { limits } from '../../limits.ts';
import { KmsError, reasonOf } from '../kms-error.ts';
import { type CredentialSource, type Credentials, readCredentials } from './credentials.ts';

/** Agents of ECS and EKS, which may be asked in clear (the list of AWS's SDKs without loopback, where no agent of ours is). */
const PLAIN_HOSTS = ['169.254.170.2', '169.254.170.23', '[fd00:ec2::23]'];

/** The agent of ECS or EKS, which gives a task or pod the credentials of its role. */
export class ContainerAgent implements CredentialSource {
  readonly name = 'the container agent';
  readonly #http: OwnHttp;
  readonly #url: URL;
  readonly #token: string | undefined;

  /** @param token the value of `Authorization` */
  constructor(http: OwnHttp, url: URL, token: string | undefined) {
    this.#http = http;
    this.#url = url;
    this.#token = token;
  }

  async fetch(): Promise<Credentials> {
    const bounds = { timeoutMs: limits.credentialsMs, maxBytes: limits.credentialsBytes };
    const authorization = this.#token;
    const headers = { accept: 'application/json', ...(authorization === undefined ? {} : { authorization }) };
    const answer = await this.#http.exchange({ method: 'GET', url: this.#url, headers }, bounds).catch((cause) => {
      throw new KmsError(
        'KMS_CREDENTIALS',
        `the container agent at ${this.#url.host} gives no answer: ${reasonOf(cause)}`,
        { cause },
      );
    });
    if (answer.status !== 200) {
      throw new KmsError('KMS_CREDENTIALS', `the container agent answered with status ${answer.status}`, {
        remedy: 'look at AWS_CONTAINER_CREDENTIALS_*_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN of the image',
      });
    }
    return readCredentials(answer.body.toString('utf8'), this.name);
  }
}

/** The agent's URL as the image's environment names it. @throws KmsError KMS_CREDENTIALS for one that may not be asked */
export function containerUrl(env: Readonly<Record<string, string>>): URL | undefined {
  const relative = env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI;
  if (relative) return read(`http://${PLAIN_HOSTS[0]}${relative.startsWith('/') ? '' : '/'}${relative}`);
  const full = env.AWS_CONTAINER_CREDENTIALS_FULL_URI;
  if (!full) return undefined;
  const url = read(full);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && PLAIN_HOSTS.includes(url.hostname))) return url;
  throw new KmsError('KMS_CREDENTIALS', `AWS_CONTAINER_CREDENTIALS_FULL_URI names ${url.protocol}//${url.hostname}`, {
    remedy: `use https, or one of ${PLAIN_HOSTS.join(', ')}`,
  });
}

function read(text: string): URL {
  try {
    return new URL(text);
  } catch {
    throw new KmsError('KMS_CREDENTIALS', 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI of the image is no URL');
  }
}
