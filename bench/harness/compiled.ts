import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, parse } from 'node:path';

/** A load program from its C source, named from `bench/`; beside that, in `build`. */
export function compiled(source: string): string {
  const file = join(import.meta.dirname, '..', source);
  const build = join(parse(file).dir, 'build');
  const program = join(build, parse(file).name);
  mkdirSync(build, { recursive: true });
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, file], { stdio: 'inherit' });
  return program;
}
