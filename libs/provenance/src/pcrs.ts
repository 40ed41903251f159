import type { Measurements } from '@enclaver/eif';
import * as z from 'zod';
import { ProvenanceError } from './provenance-error.ts';
import type { Statement } from './statement.ts';
import { PCRS_TYPE } from './uris.ts';

const register = z.string().regex(/^[0-9a-f]{96}$/);

// As `enclaver build -o json` and nitro-cli print it: other keys may stand beside, other registers may not, since nothing
// here could check them
const pcrsSchema = z.looseObject({
  Measurements: z
    .looseObject({ PCR0: register, PCR1: register, PCR2: register, PCR8: register.optional() })
    .refine((all) => Object.keys(all).every((key) => !/^PCR/i.test(key) || /^PCR[0128]$/.test(key)), {
      message: 'only PCR0, PCR1, PCR2 and PCR8 can be checked',
    }),
});

/** The predicate of a PCR statement. */
export function pcrPredicate(measurements: Measurements): { Measurements: Measurements } {
  return { Measurements: measurements };
}

/** The registers that a PCR statement names. Throws STATEMENT_INVALID. */
export function statedMeasurements({ predicateType, predicate }: Statement): Measurements {
  if (predicateType !== PCRS_TYPE) {
    throw new ProvenanceError('STATEMENT_INVALID', `the statement is of type ${predicateType}, not ${PCRS_TYPE}`);
  }
  const result = pcrsSchema.safeParse(predicate);
  if (!result.success) {
    throw new ProvenanceError('STATEMENT_INVALID', `a PCR statement is wrong: ${z.prettifyError(result.error)}`);
  }
  const { PCR0, PCR1, PCR2, PCR8 } = result.data.Measurements;
  return { PCR0, PCR1, PCR2, ...(PCR8 === undefined ? {} : { PCR8 }) };
}

/** Throws PCR_STATEMENT_DIFFERS, with each register that is another than stated. */
export function checkMeasurements(stated: Measurements, found: Measurements): void {
  const names = ['PCR0', 'PCR1', 'PCR2', 'PCR8'] as const;
  const wrong = names.filter((name) => stated[name] !== found[name]);
  if (wrong.length === 0) return;
  const lines = wrong.map((name) => `${name} stated ${stated[name] ?? 'absent'}, found ${found[name] ?? 'absent'}`);
  throw new ProvenanceError('PCR_STATEMENT_DIFFERS', `the image measures otherwise than stated: ${lines.join('; ')}`);
}
