import { MACHINE_ARCH } from '../build/arch.ts';
import { C_FLAGS, compileC } from '../build/compile-c.ts';
import { runTool } from '../build/run-tool.ts';
import { TOOL_REMEDY, tool } from '../build/toolchain.ts';

/** The C library's ioctl takes an unsigned number, musl's a signed one. */
const OTHER_LIBRARY = ['-Wno-sign-conversion'];

const SANITIZING = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];

/**
 * A C program of the enclave as it is shipped; with ENCLAVER_SANITIZE=1 (test/sanitizers) with the machine's own C library,
 * AddressSanitizer and UBSan, which lie in the program, since it is started in roots that have no libraries.
 */
export async function compileForTest(folder: string, sources: readonly string[], output: string): Promise<void> {
  if (process.env.ENCLAVER_SANITIZE !== '1') return compileC(folder, sources, output);
  const args = [
    ...C_FLAGS,
    ...OTHER_LIBRARY,
    ...SANITIZING,
    '-static-libasan',
    '-static-libubsan',
    ...sources,
    '-o',
    output,
  ];
  await runTool(tool(MACHINE_ARCH, 'gcc'), args, folder, TOOL_REMEDY);
}
