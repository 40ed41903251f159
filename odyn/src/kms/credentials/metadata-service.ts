import * as z from 'zod';
import type { OwnAnswer, OwnHttp, OwnRequest } from '../../egress/own-http.ts';
import { limits } from '../../limits.ts';
import { isRegion } from '../endpoints.ts';
import { parseJson } from '../json.ts';
import { KmsError, reasonOf } from '../kms-error.ts';
import { type CredentialSource, type Credentials, readCredentials } from './credentials.ts';

const TOKEN_TTL_S = 21_600;
const TOKEN = /^[\x21-\x7e]{1,1024}$/;
const ROLE = /^[\w+=,.@-]{1,128}$/;
const ROLES = '/latest/meta-data/iam/security-credentials/';

const failure = z.object({ Code: z.string().max(100), Message: z.string().max(500).optional() });

/** Instance metadata of EC2, version 2: tokens only. It never falls back to version 1, which anybody's GET could ask. */
export class MetadataService implements CredentialSource {
  readonly name = 'the metadata service';
  readonly #http: OwnHttp;
  readonly #base: URL;
  #token: string | undefined;

  constructor(http: OwnHttp, base: URL) {
    this.#http = http;
    this.#base = base;
  }

  /** Those of the instance's role. */
  async fetch(): Promise<Credentials> {
    const roles = await this.#get(ROLES);
    const role = roles.split('\n')[0]?.trim() ?? '';
    if (!ROLE.test(role)) throw unusable('its list of roles');
    const body = await this.#get(`${ROLES}${encodeURIComponent(role)}`);
    const failed = failure.safeParse(parseJson(body));
    if (failed.success && failed.data.Code !== 'Success') {
      const { Code, Message = '' } = failed.data;
      throw new KmsError('KMS_CREDENTIALS', `the metadata service has no credentials of the role: ${Code} ${Message}`, {
        remedy: 'look at the trust policy of the role: EC2 must be able to assume it',
      });
    }
    return readCredentials(body, this.name);
  }

  /** Where the instance is. */
  async region(): Promise<string> {
    const region = (await this.#get('/latest/meta-data/placement/region')).trim();
    if (!isRegion(region)) throw unusable('its region');
    return region;
  }

  async #get(path: string): Promise<string> {
    const first = await this.#ask(path, this.#token ?? (await this.#newToken()));
    // The token has expired, or the parent has moved us
    const answer = first.status === 401 ? await this.#ask(path, await this.#newToken()) : first;
    if (answer.status === 404 && path === ROLES) {
      throw new KmsError('KMS_CREDENTIALS', 'the instance has no role', {
        remedy: 'attach an instance profile to the parent instance, or give the image other credentials: docs/kms.md',
      });
    }
    if (answer.status !== 200) throw refused(answer.status);
    return answer.body.toString('utf8');
  }

  async #newToken(): Promise<string> {
    this.#token = undefined;
    const headers = { 'X-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_TTL_S) };
    const { status, body } = await this.#exchange(
      { method: 'PUT', path: '/latest/api/token', headers, body: new Uint8Array() },
      'a container behind a bridge needs a hop limit of 2: ' +
        'aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2',
    );
    if (status !== 200) throw refused(status);
    const token = body.toString('latin1').trim();
    if (!TOKEN.test(token)) throw unusable('its token');
    this.#token = token;
    return token;
  }

  #ask(path: string, token: string): Promise<OwnAnswer> {
    return this.#exchange({ method: 'GET', path, headers: { 'X-aws-ec2-metadata-token': token } });
  }

  async #exchange(request: Omit<OwnRequest, 'url'>, remedy?: string): Promise<OwnAnswer> {
    const bounds = { timeoutMs: limits.credentialsMs, maxBytes: limits.credentialsBytes };
    try {
      return await this.#http.exchange({ url: this.#base, ...request }, bounds);
    } catch (cause) {
      throw new KmsError(
        'KMS_CREDENTIALS',
        `the metadata service at ${this.#base.host} gives no answer: ${reasonOf(cause)}`,
        { cause, ...(remedy === undefined ? {} : { remedy }) },
      );
    }
  }
}

function refused(status: number): KmsError {
  return new KmsError('KMS_CREDENTIALS', `the metadata service answered with status ${status}`, {
    remedy: 'is it enabled for the instance, and does nothing on the way answer in its place?',
  });
}

function unusable(what: string): KmsError {
  return new KmsError('KMS_CREDENTIALS', `the metadata service answered with something that is not ${what}`);
}
