import { execFile } from 'node:child_process';
import { BuildError } from './build-error.ts';

/** Compilers and strip say little; more than this is a tool gone wrong. */
const OUTPUT_MAX = 1024 * 1024;

/** Variables that may steer set-up's own scripts; no compiler knows them. */
const PASSED_ON = /^(PATH|HOME|TMPDIR|ENCLAVER_[A-Z_]+)$/;

/** Runs a build tool in `cwd` and gives its output; locale and time zone are fixed, so that they cannot show in a result. */
export function runTool(program: string, args: readonly string[], cwd: string, remedy: string): Promise<string> {
  const passed = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name));
  const env = { ...Object.fromEntries(passed), LC_ALL: 'C', TZ: 'UTC', SOURCE_DATE_EPOCH: '1' };
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, env, maxBuffer: OUTPUT_MAX }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
      } else if (error.code === 'ENOENT') {
        reject(new BuildError('TOOL_MISSING', `${program} is not on this machine`, { cause: error, remedy }));
      } else {
        const said = `${stdout}${stderr}`.trim();
        reject(new BuildError('TOOL_FAILED', `${program} failed: ${said || error.message}`, { cause: error, remedy }));
      }
    });
  });
}
