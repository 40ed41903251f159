import * as z from 'zod';
import { NitroError } from './nitro-error.ts';

/** What nitro-cli prints as JSON (`src/common/json_output.rs`), as far as it is used; it may say more. */

export const enclaveIdSchema = z.string().regex(/^i-[0-9a-f]+-enc[0-9a-f]+$/);

export const startedSchema = z.object({
  EnclaveName: z.string().optional(),
  EnclaveID: enclaveIdSchema,
  /** The process that holds the enclave: when it ends, the enclave does. */
  ProcessID: z.number().int().positive(),
  EnclaveCID: z.number().int().min(4).max(0xfffffffe),
  NumberOfCPUs: z.number().int().nonnegative(),
  CPUIDs: z.array(z.number().int().nonnegative()),
  MemoryMiB: z.number().int().nonnegative(),
});

const register = z.string().regex(/^[0-9a-f]{96}$/);

export const describedSchema = startedSchema.extend({
  State: z.enum(['RUNNING', 'TERMINATING', 'EMPTY']),
  Flags: z.string(),
  Measurements: z.object({ PCR0: register, PCR1: register, PCR2: register, PCR8: register.optional() }).optional(),
});

export const terminatedSchema = z.object({ EnclaveID: enclaveIdSchema, Terminated: z.boolean() });

export type StartedEnclave = z.infer<typeof startedSchema>;
export type DescribedEnclave = z.infer<typeof describedSchema>;

/** The first JSON value of a command's stdout: console text may follow it. Throws `NITRO_CLI_OUTPUT`. */
export function parseOutput<S extends z.ZodType>(command: string, stdout: string, schema: S): z.output<S> {
  const remedy = 'check that the nitro-cli in the PATH is that of aws-nitro-enclaves-cli, 1.2 or later';
  let value: unknown;
  try {
    value = JSON.parse(firstJson(stdout));
  } catch (cause) {
    throw new NitroError('NITRO_CLI_OUTPUT', `nitro-cli ${command} printed no JSON: ${stdout.slice(0, 200)}`, {
      cause,
      remedy,
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const what = z.prettifyError(result.error);
  throw new NitroError('NITRO_CLI_OUTPUT', `nitro-cli ${command} printed JSON of another form: ${what}`, { remedy });
}

/** From the first brace to its partner; the whole text where there is none. */
export function firstJson(text: string): string {
  const start = text.search(/[[{]/);
  let depth = 0;
  let quoted = false;
  for (let at = Math.max(start, 0); at < text.length; at += 1) {
    const char = text[at];
    if (quoted) {
      if (char === '\\') at += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') {
      depth -= 1;
      if (depth === 0) return text.slice(start, at + 1);
    }
  }
  return text;
}
