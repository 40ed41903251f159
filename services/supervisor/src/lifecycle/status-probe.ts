import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsockError, type VsockStream, type VsockTransport } from '@enclaver/vsock';
import { STATUS_PORT } from '@enclaver/wire';
import type { Limits } from '../limits.ts';

/**
 * Looks whether an enclave still takes connections while its status connection says nothing, which may be because nothing
 * changes: a vsock device or a guest that hangs keeps open what is open. Resolves with true when its status port has neither
 * answered nor refused a few times in a row, and with false when `over` ends it.
 */
export async function isDeaf(transport: VsockTransport, limits: Limits, over: AbortSignal): Promise<boolean> {
  for (let silent = 0; silent < limits.statusProbes; ) {
    if (silent === 0) await sleep(limits.statusProbePauseMs, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) return false;
    silent = (await answers(transport, limits.statusAnswerMs, over)) ? 0 : silent + 1;
  }
  return !over.aborted;
}

/** Odyn says its state to whoever comes; one that has no place left, or is about to end, closes. Both are answers. */
async function answers(transport: VsockTransport, timeoutMs: number, over: AbortSignal): Promise<boolean> {
  const signal = AbortSignal.any([over, AbortSignal.timeout(timeoutMs)]);
  let stream: VsockStream | undefined;
  try {
    stream = await transport.connect(STATUS_PORT, { timeoutMs, signal });
    await Promise.race([once(stream, 'data', { signal }), once(stream, 'close', { signal })]);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    if (!(error instanceof VsockError)) throw error;
    return stream !== undefined || error.code === 'CONNECT_REFUSED';
  } finally {
    stream?.destroy();
  }
}
