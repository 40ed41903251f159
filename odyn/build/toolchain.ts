import { type Arch, tripletOf } from './arch.ts';
import { CHECKOUT } from './pinned.ts';
import { runTool } from './run-tool.ts';

export const TOOL_REMEDY = 'scripts/setup --only build';

/** A program of the architecture's compiler, under the name that it has on machines of either kind. */
export function tool(arch: Arch, name: 'gcc' | 'ld' | 'objcopy' | 'strip'): string {
  return `${tripletOf(arch)}-${name}`;
}

/** How compiler, linker and strip name themselves; part of what decides the compiled bytes. */
export function toolVersions(arch: Arch): Promise<string[]> {
  return Promise.all(
    (['gcc', 'ld', 'strip'] as const).map(async (name) => {
      const program = tool(arch, name);
      const [version = program] = (await runTool(program, ['--version'], CHECKOUT, TOOL_REMEDY)).split('\n');
      return version;
    }),
  );
}
