import { Policy, parseDestination } from '@enclaver/egress-policy';
import type { Manifest } from '@enclaver/manifest';
import { credentialUrl, type Environment, metadataUrl, portOf } from './credentials/source.ts';

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
  return env.AWS_EC2_METADATA_DISABLED?.toLowerCase() === 'true' || !reaches(egress, metadataUrl(env));
}

/** Whether the app itself may ask where odyn asks for credentials, and so may sign with them. */
export function reachesCredentials(env: Environment, egress: Manifest['egress']): boolean {
  const url = credentialUrl(env);
  return url !== undefined && reaches(egress, url);
}

function reaches(egress: Manifest['egress'], url: URL): boolean {
  return egress !== undefined && new Policy(egress).decide(parseDestination(url.hostname, portOf(url))).allowed;
}
