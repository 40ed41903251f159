import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { failureOf, hasFailed } from '../../../services/supervisor/src/backends/nitro/failure.ts';
import { cpuList } from '../../../services/supervisor/src/backends/nitro/host.ts';
import { NitroError } from '../../../services/supervisor/src/backends/nitro/nitro-error.ts';
import {
  describedSchema,
  parseOutput,
  startedSchema,
  terminatedSchema,
} from '../../../services/supervisor/src/backends/nitro/outputs.ts';
import { readOrRefuse } from '../target.ts';

const file = join(import.meta.dirname, '../../../services/supervisor/test/vectors/nitro-cli-outputs.json');
const texts: string[] = [];
JSON.parse(readFileSync(file, 'utf8'), (_, value: unknown) => {
  if (typeof value === 'string' && value.length > 40) texts.push(value);
  else if (typeof value === 'object' && value !== null && 'EnclaveID' in value) texts.push(JSON.stringify(value));
  return value;
});

export const seeds = [...texts, '0-3,5,7-8\n'];

/** What nitro-cli prints, and what the kernel says of processors. */
export function fuzz(input: Buffer): void {
  const text = input.toString('utf8');
  for (const schema of [startedSchema, z.array(describedSchema), terminatedSchema])
    readOrRefuse(() => parseOutput('run-enclave', text, schema), NitroError);
  if (hasFailed(text)) assert.ok(failureOf('run-enclave', 1, text).message.length < 2000);
  const cpus = cpuList(text);
  if (cpus !== undefined) assert.ok(cpus.every((cpu) => Number.isInteger(cpu) && cpu >= 0 && cpu < 100_000));
}
