import { Policy, parseDestination } from '@enclaver/egress-policy';
import type { Manifest } from '@enclaver/manifest';
import { type Environment, metadataUrl } from './credentials/source.ts';

/** Variables by which AWS's SDKs find credentials. */
const SOURCES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_CONFIG_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_PROFILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
] as const;
const PROFILES = ['.aws/config', '.aws/credentials'] as const;

/**
 * Whether an SDK in the app finds no credentials by itself, so that those of the KMS proxy can stand where it looks first.
 * They would take the place of real ones otherwise, and every call to other services would fail (docs/decisions/0009).
 * @param hasFile whether the app's home has a file of this name
 */
export function findsNoCredentials(
  env: Environment,
  egress: Manifest['egress'],
  hasFile: (name: string) => boolean,
): boolean {
  if (SOURCES.some((name) => env[name]) || PROFILES.some(hasFile)) return false;
  if (egress === undefined || env.AWS_EC2_METADATA_DISABLED?.toLowerCase() === 'true') return true;
  const { hostname, port } = metadataUrl(env);
  return !new Policy(egress).decide(parseDestination(hostname, Number(port || 80))).allowed;
}
