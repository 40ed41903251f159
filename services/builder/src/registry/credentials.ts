import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { BuilderError } from '../builder-error.ts';
import { limits } from '../limits.ts';

/** What the docker client keeps for one registry: a name and a secret, or a token. */
export interface RegistryCredentials {
  username: string;
  secret: string;
}

/** `config.json` of the docker client, the parts that say how to log in. */
const configSchema = z.object({
  auths: z
    .record(z.string(), z.object({ auth: z.string().optional(), identitytoken: z.string().optional() }))
    .optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
const answerSchema = z.object({ Username: z.string(), Secret: z.string() });

/** The user name by which helpers and registries know that the secret is an identity token. */
export const TOKEN_USER = '<token>';

/** Docker's own name for its hub in this file, and the host it stands for. */
const HUB = 'https://index.docker.io/v1/';
const HUB_HOST = 'docker.io';

/**
 * What the docker client on this machine would log in with at `host`: from `$DOCKER_CONFIG/config.json` or
 * `~/.docker/config.json`, with its helpers. Undefined where there is nothing. Throws CREDENTIALS_INVALID.
 */
export async function credentialsFor(host: string): Promise<RegistryCredentials | undefined> {
  // What is empty is not set, here and for helpers, as the docker client has it
  const path = join(process.env.DOCKER_CONFIG || join(homedir(), '.docker'), 'config.json');
  const config = await readConfig(path);
  if (config === undefined) return undefined;
  const server = host === HUB_HOST ? HUB : host;
  const helper = config.credHelpers?.[server] ?? config.credHelpers?.[host] ?? config.credsStore;
  if (helper) return askHelper(helper, server);
  const [, entry] = Object.entries(config.auths ?? {}).find(([key]) => key === server || hostOf(key) === host) ?? [];
  if (entry?.identitytoken) return { username: TOKEN_USER, secret: entry.identitytoken };
  if (!entry?.auth) return undefined;
  const [username = '', ...rest] = Buffer.from(entry.auth, 'base64').toString('utf8').split(':');
  return { username, secret: rest.join(':') };
}

/** Old clients wrote addresses: `https://registry.example.com/v1/`. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

async function readConfig(path: string): Promise<z.infer<typeof configSchema> | undefined> {
  let bytes: string;
  try {
    bytes = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw invalid(`cannot read ${path}: ${(error as Error).message}`);
  }
  try {
    return configSchema.parse(JSON.parse(bytes));
  } catch {
    // Neither the text nor what a parser says of it is shown: it holds secrets
    throw invalid(`${path} is not a configuration of the docker client`);
  }
}

/** Asks `docker-credential-NAME`, which knows a keychain (docker/docker-credential-helpers: `get`, server on stdin). */
async function askHelper(helper: string, server: string): Promise<RegistryCredentials | undefined> {
  const program = `docker-credential-${helper}`;
  if (!/^[A-Za-z0-9._-]+$/.test(helper)) throw invalid(`${JSON.stringify(helper)} is no name of a credential helper`);
  const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'] });
  // Node's own `timeout` goes on, and holds the process, when there is no such program
  const timer = setTimeout(() => child.kill('SIGKILL'), limits.helperMs);
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => reject(invalid(`cannot start ${program}: ${cause.message}`)));
    child.once('close', resolve);
  });
  child.stdin.on('error', () => undefined).end(server);
  const [code, answer] = await Promise.all([closed, text(child.stdout)]).finally(() => clearTimeout(timer));
  // Helpers end with 1 and these words where they have nothing for the server
  if (code !== 0 && /not found/i.test(answer)) return undefined;
  if (code !== 0) throw invalid(`${program} failed for ${server} (exit ${code ?? 'by signal'})`);
  try {
    const { Username, Secret } = answerSchema.parse(JSON.parse(answer));
    return { username: Username, secret: Secret };
  } catch {
    throw invalid(`${program} gave no credentials for ${server} in the documented form`);
  }
}

function invalid(message: string): BuilderError {
  return new BuilderError('CREDENTIALS_INVALID', message, {
    remedy: 'log in again with `docker login`, as the user that the builder runs as',
  });
}
