import type { Statement } from '../policy/document.ts';
import { type Pcrs, ZERO_PCR } from '../registers.ts';
import { attestedStatements, conditionsByRegister } from './attested.ts';
import { acceptedValues } from './check-conditions.ts';
import { type Finding, finding } from './findings.ts';

/** Whether the policy is for this image: the registers that are known of it against each attested statement. */
export function checkImage(statements: readonly Statement[], pcrs: Pcrs): Finding[] {
  const attested = attestedStatements(statements);
  const stale = attested.flatMap((statement) => {
    const differing = differingRegisters(statement, pcrs);
    return differing.length === 0
      ? []
      : [finding('stale-measurement', `${differing.join(', ')} of the image differ`, statement)];
  });
  if (attested.length === 0 || stale.length < attested.length) return stale;
  return [...stale, finding('image-not-allowed', `PCR0 of the image is ${pcrs.PCR0 ?? '(not known)'}`)];
}

function differingRegisters(statement: Statement, pcrs: Pcrs): string[] {
  return [...conditionsByRegister(statement)].flatMap(([register, conditions]) => {
    const value = knownValue(pcrs, register);
    return value === undefined || acceptedValues(conditions).includes(value) ? [] : [`PCR${register}`];
  });
}

/** PCR8 of an image without signature is zero; PCR3 and PCR4 are known only when they were given. */
function knownValue(pcrs: Pcrs, register: number): string | undefined {
  return register === 8 ? (pcrs.PCR8 ?? ZERO_PCR) : (pcrs as Record<string, string | undefined>)[`PCR${register}`];
}
