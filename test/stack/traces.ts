import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { TestStack } from './stack.ts';

/**
 * Files of a stack that hold secrets or the image itself, as they must. Everything else of it is what it has said or kept: logs,
 * the bus's streams and buckets, consoles, states.
 */
const HOLDS_SECRETS = /^(bus\/[\w-]+\.(json|conf)|data\/nsm\/.*|nsm\/.*|run\/[^/]+\/(kernel|initrd)|.*\.eif)$/;

/** All files of a stack, by their path within it. */
export async function filesOf(stack: TestStack): Promise<string[]> {
  const entries = await readdir(stack.dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(stack.dir, join(parentPath, name)));
}

/** Where one of the secrets has left a trace: `place: secret`. `said` is what was said elsewhere, by place. */
export async function tracesOf(
  secrets: Readonly<Record<string, string>>,
  stack: TestStack,
  said: Readonly<Record<string, string>>,
): Promise<string[]> {
  const texts = new Map(Object.entries(said).map(([place, text]) => [place, Buffer.from(text)]));
  for (const path of await filesOf(stack)) {
    if (HOLDS_SECRETS.test(path)) continue;
    texts.set(path, await readFile(join(stack.dir, path)).catch(() => Buffer.alloc(0)));
  }
  const traces: string[] = [];
  for (const [place, text] of texts) {
    for (const [name, secret] of Object.entries(secrets)) {
      // As it is, and as it would stand in a dump
      const forms = [
        Buffer.from(secret),
        Buffer.from(Buffer.from(secret).toString('base64').slice(0, -4)),
        Buffer.from(Buffer.from(secret).toString('hex')),
      ];
      if (forms.some((form) => text.includes(form))) traces.push(`${place}: ${name}`);
    }
  }
  return traces;
}

/** The passwords of a stack's bus, by whose they are. */
export async function busPasswords(stack: TestStack): Promise<Record<string, string>> {
  const files = (await readdir(join(stack.dir, 'bus'))).filter((name) => name.endsWith('.json'));
  const read = async (name: string): Promise<[string, string]> => {
    const { password } = JSON.parse(await readFile(join(stack.dir, 'bus', name), 'utf8')) as { password: string };
    return [`password of ${name}`, password];
  };
  return Object.fromEntries(await Promise.all(files.map(read)));
}

/** Files and folders with secrets that others than their owner may open or enter: `path mode`. */
export async function secretsOpenToOthers(stack: TestStack): Promise<string[]> {
  const secrets = (await filesOf(stack)).filter((path) => HOLDS_SECRETS.test(path));
  const paths = [...secrets, ...new Set(secrets.map((path) => dirname(path)))];
  const read = async (path: string) => ({ path, mode: (await stat(join(stack.dir, path))).mode & 0o777 });
  const modes = await Promise.all(paths.map(read));
  return modes.filter(({ mode }) => (mode & 0o077) !== 0).map(({ path, mode }) => `${path} ${mode.toString(8)}`);
}
