import type { EnclaveResult } from '@enclaver/bus';

/** How an enclave ended, in words, and what helps where something does. */
export interface Ending {
  text: string;
  remedy?: string | undefined;
}

const MORE_MEMORY = 'give it more: --memory-mb, or defaults.memory_mb in the manifest';

/** Ends that an error code of the supervisor tells; a code that is not here is told by its own message. */
const byCode: Readonly<Record<string, string>> = {
  BOOT_TIMEOUT: 'its kernel, or odyn in it, gave no sign of life in time',
  BUS_NOT_STORING: 'it was refused: the bus did not store anything',
  EIF_NOT_FOUND: 'its image was not there any more when it was to be started',
  HANDOVER_SILENT: 'it was the new enclave of an update, and the outer-proxy did not give it the ports',
  HOST_FULL: 'the host had not enough left for it',
  KERNEL_PANIC: "its kernel panicked, and took the app's machine with it",
  MACHINE_ENDED: 'its machine ended without a word: killed from outside, or powered off from inside',
  MEASUREMENTS_DIFFER: 'its image was another one when it was to be started again',
  PORT_IN_USE: 'a port that it publishes was taken',
  PROXY_SILENT: 'the outer-proxy did not open its ports, so that it was not started',
  START_TIMEOUT: 'its app was not ready in the time that the request gave it',
  STATUS_INVALID: 'what it said on its status port breaks the protocol: it was not trusted any more',
  STATUS_SILENT: 'odyn, which had spoken, did not answer any more',
  STOPPED: 'somebody stopped it before its app ran',
  SUPERVISOR_AWAY: 'it ended while no supervisor ran, so that nobody saw how',
};

const byExitCode: Readonly<Record<number, string>> = {
  0: 'the app ended by itself, and well',
  126: 'the app ended with exit code 126: as a shell says it, a program that may not be executed',
  127: 'the app ended with exit code 127: as a shell says it, a program that is not there',
};

/** What is known of an end. Every kind and every cause that the bus knows has its words. */
export function explainEnd(result: EnclaveResult): Ending {
  switch (result.kind) {
    case 'exited':
    case 'signaled':
      return explainApp(result);
    case 'fatal':
      return { text: `the inside of the enclave gave up: ${result.error}` };
    default: {
      const { code, message, remedy } = result.error;
      const cause = byCode[code];
      return { text: cause === undefined ? message : `${cause}: ${message}`, remedy };
    }
  }
}

function explainApp(result: Extract<EnclaveResult, { kind: 'exited' | 'signaled' }>): Ending {
  const detail = result.detail === undefined ? '' : `: ${result.detail}`;
  if (result.cause === 'out-of-memory') {
    return { text: `the kernel inside ended the app for want of memory${detail}`, remedy: MORE_MEMORY };
  }
  if (result.cause === 'grace-over') {
    return {
      text: `the app did not end in the grace time of a stop, and was killed${detail}`,
      remedy: 'have the app end on its stop signal, or give it longer: enclaver stop -t',
    };
  }
  const cause = result.cause === undefined ? '' : ` (${result.cause}${detail})`;
  if (result.kind === 'exited') {
    return { text: `${byExitCode[result.code] ?? `the app ended by itself with exit code ${result.code}`}${cause}` };
  }
  return { text: `the app was ended by ${result.signal}, which it or another sent${cause}` };
}
