import { text } from 'node:stream/consumers';
import { buildEnclave } from '../build.ts';
import type { SecondBuild } from './check.ts';

/** The second build of `enclaver build --check`: options as JSON on stdin, errors on stderr. */
process.umask(0o077);
try {
  await buildEnclave(JSON.parse(await text(process.stdin)) as SecondBuild);
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  process.stderr.write(`${code ?? 'INTERNAL'}: ${message}\n`);
  process.exitCode = 1;
}
