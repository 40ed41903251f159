import * as z from 'zod';
import { PCR_COUNT } from '../nsm/limits.ts';
import { SimulatorError } from './errors.ts';

/** The value of a register. */
export const pcrHex = z.stringFormat('PCR', /^[0-9a-f]{96}$/, {
  error: 'expected 96 hexadecimal digits in lower case',
});

const stateSchema = z.object({
  moduleId: z.string().regex(/^i-[0-9a-f]{8,17}-enc[0-9a-f]{16}$/),
  registers: z.array(z.object({ value: pcrHex, locked: z.boolean() })).length(PCR_COUNT),
});

/** What a simulator must remember so that the next process goes on as the same device: JSON. */
export type SimulatorState = z.infer<typeof stateSchema>;

/** Throws SimulatorError SIMULATOR_STATE. */
export function parseState(saved: unknown): SimulatorState {
  const state = stateSchema.safeParse(saved);
  if (state.success) return state.data;
  const found = z.prettifyError(state.error);
  throw new SimulatorError('SIMULATOR_STATE', `this is no saved state of an NSM simulator: ${found}`);
}
