import { busLimits, enclaveNameSchema } from '@enclaver/bus';
import { InvalidArgumentError } from 'commander';

/** Reads an option's name of an enclave. */
export function enclaveName(text: string): string {
  if (enclaveNameSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError(
    `Allowed are 1 to ${busLimits.enclaveName} characters, none of them a control character.`,
  );
}
