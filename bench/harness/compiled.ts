import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, parse } from 'node:path';

/** A load program from its C source, named from `bench/`; beside that, in `build`. `isStatic`: it runs in any root. */
export function compiled(source: string, { isStatic = false } = {}): string {
  const file = join(import.meta.dirname, '..', source);
  const build = join(parse(file).dir, 'build');
  const program = join(build, `${parse(file).name}${isStatic ? '-static' : ''}`);
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', ...(isStatic ? ['-static'] : [])];
  mkdirSync(build, { recursive: true });
  execFileSync('gcc', [...flags, '-o', program, file], { stdio: 'inherit' });
  return program;
}
