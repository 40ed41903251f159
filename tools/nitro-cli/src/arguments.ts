import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as z from 'zod';
import { Failure } from './errors.ts';
import type { Launch } from './messages.ts';

const UNITS: Record<string, number> = { '': 1, m: 1, g: 1024, t: 1024 ** 2 };

/** Options of a command: those with a value, and those without. E01 for a value that is missing, E03 for what is not known. */
export function options<V extends string, F extends string>(
  args: readonly string[],
  { values, flags = [] }: { values: readonly V[]; flags?: readonly F[] },
): Partial<Record<V, string>> & Partial<Record<F, boolean>> {
  const config = Object.fromEntries([
    ...values.map((name) => [name, { type: 'string' }] as const),
    ...flags.map((name) => [name, { type: 'boolean' }] as const),
  ]);
  try {
    return parseArgs({ args: [...args], options: config, strict: true }).values as ReturnType<typeof options<V, F>>;
  } catch (error) {
    throw new Failure(3, (error as Error).message);
  }
}

const configSchema = z.strictObject({
  eif_path: z.string(),
  memory_mib: z.number().int(),
  cpu_count: z.number().int().optional(),
  cpu_ids: z.array(z.number().int()).optional(),
  enclave_cid: z.number().int().optional(),
  enclave_name: z.string().optional(),
  debug_mode: z.boolean().optional(),
  attach_console: z.boolean().optional(),
});

/** What `run-enclave` was asked for; the name is the default's where none was given. */
export interface RunArguments {
  launch: Launch;
  attachConsole: boolean;
}

export function runArguments(args: readonly string[]): RunArguments {
  const { ids, rest } = splitCpuIds(args);
  const given = options(rest, {
    values: ['eif-path', 'memory', 'cpu-count', 'enclave-cid', 'enclave-name', 'config'],
    flags: ['debug-mode', 'attach-console'],
  });
  const config = given.config === undefined ? undefined : readConfig(given.config);
  const eifPath = config?.eif_path ?? given['eif-path'];
  const memory = config?.memory_mib ?? memoryMb(given.memory);
  const cpuIds = config?.cpu_ids ?? ids;
  const cpuCount = config?.cpu_count ?? number('cpu-count', given['cpu-count']);
  if (eifPath === undefined) throw new Failure(1, '`eif-path`');
  if (memory === undefined) throw new Failure(1, '`memory`');
  if (cpuIds !== undefined && cpuCount !== undefined) throw new Failure(2, '`cpu-count` and `cpu-ids`');
  if (cpuIds === undefined && cpuCount === undefined) throw new Failure(1, '`cpu-count`');
  const name = config?.enclave_name ?? given['enclave-name'] ?? eifPath.replace(/^.*\//, '').replace(/\.eif$/, '');
  const attachConsole = (config?.attach_console ?? given['attach-console']) === true;
  return {
    attachConsole,
    launch: {
      name,
      eifPath,
      memoryMb: memory,
      cpus: cpuIds === undefined ? { count: cpuCount as number } : { ids: cpuIds },
      cid: config?.enclave_cid ?? number('enclave-cid', given['enclave-cid']) ?? 0,
      debug: attachConsole || (config?.debug_mode ?? given['debug-mode']) === true,
    },
  };
}

/** `--cpu-ids 1 3`: an option with several values, which `parseArgs` does not know. */
function splitCpuIds(args: readonly string[]): { ids?: number[]; rest: string[] } {
  const at = args.indexOf('--cpu-ids');
  if (at < 0) return { rest: [...args] };
  const behind = args.slice(at + 1);
  const next = behind.findIndex((text) => text.startsWith('--'));
  const texts = next < 0 ? behind : behind.slice(0, next);
  if (texts.length === 0) throw new Failure(1, '`cpu-ids`');
  const ids = texts.map((text) => number('cpu-ids', text) as number);
  return { ids, rest: [...args.slice(0, at), ...behind.slice(texts.length)] };
}

function memoryMb(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, digits = '', unit = ''] = /^(\d{1,12})([mgt]?)$/i.exec(text) ?? [];
  if (digits === '') throw new Failure(3, `\`memory\` is \`${text}\``);
  const memory = Number(digits) * (UNITS[unit.toLowerCase()] as number);
  if (memory === 0) throw new Failure(26, '`memory` is 0 MB.');
  return memory;
}

function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new Failure(3, `\`${name}\` is \`${text}\``);
  return Number(text);
}

function readConfig(path: string): z.infer<typeof configSchema> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    throw new Failure(19, `File: '${path}', failing operation: 'Open'.`);
  }
  try {
    return configSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new Failure(17, (error as Error).message);
  }
}
