import * as z from 'zod';
import { limits } from './limits.ts';

/** An error as it travels on the bus and is shown to a user: stable code, what was found and what is allowed, the way out. */
export const errorDataSchema = z.object({
  code: z.string().regex(/^[A-Z][A-Z0-9_]*$/),
  message: z.string(),
  remedy: z.string().optional(),
});

export type ErrorData = z.infer<typeof errorDataSchema>;

/** A failed bus operation: ours (`BUS_*`) or the remote service's error, code and remedy kept. */
export class BusError extends Error {
  readonly code: string;
  readonly remedy: string | undefined;

  constructor(data: ErrorData, options?: ErrorOptions) {
    super(data.message, options);
    this.name = 'BusError';
    this.code = data.code;
    this.remedy = data.remedy;
  }
}

/**
 * Any error as data. One without a code of its own becomes `INTERNAL`: its text is for the log's reader, not a contract. A text
 * that quotes what it refuses is cut, since a message that is larger than the bus takes would be the end of its sender.
 */
export function toErrorData(error: unknown): ErrorData {
  if (!(error instanceof Error)) return { code: 'INTERNAL', message: cut(String(error)) };
  const { code, remedy } = error as { code?: unknown; remedy?: unknown };
  return {
    code: typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : 'INTERNAL',
    message: cut(error.message),
    ...(typeof remedy === 'string' ? { remedy: cut(remedy) } : {}),
  };
}

function cut(text: string): string {
  return text.length <= limits.errorText ? text : `${text.slice(0, limits.errorText)} … (${text.length} characters)`;
}
