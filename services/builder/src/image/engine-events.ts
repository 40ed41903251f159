import * as z from 'zod';
import { limits } from '../limits.ts';

/** One line of what the engine says while it pulls or loads. */
const eventSchema = z.object({
  status: z.string().optional(),
  id: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).nullish(),
  error: z.string().optional(),
});

export type EngineEvent = z.infer<typeof eventSchema>;

/**
 * Reads the engine's answer to its end. The HTTP status of a pull or load is sent before the work and says nothing of its
 * success: a failure is a line of the answer, and is thrown. (dockerode's `followProgress` passes it over.)
 */
export async function followEvents(
  answer: AsyncIterable<Buffer | string>,
  onEvent: (event: EngineEvent) => void = () => undefined,
): Promise<void> {
  let rest = '';
  const take = (line: string): void => {
    if (line.trim() === '') return;
    const event = eventSchema.parse(JSON.parse(line));
    if (event.error !== undefined) throw new Error(event.error);
    onEvent(event);
  };
  const decoder = new TextDecoder();
  for await (const chunk of answer) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > limits.engineLineBytes) throw new Error('the engine sent a line without end');
    for (const line of lines) take(line);
  }
  take(rest);
}
