import { type EnclaveRecord, hasEnded, type Warning } from '@enclaver/bus';

/** The warnings about one enclave that could be, each with whether it is so now. */
export function enclaveWarnings(record: EnclaveRecord): { isSo: boolean; warning: Warning }[] {
  const { id, name, state, reason, clock } = record;
  const runs = !hasEnded(state);
  return [
    {
      isSo: state === 'unhealthy',
      warning: {
        code: 'ENCLAVE_UNHEALTHY',
        severity: 'error',
        message: `${name} fails its health check: ${reason ?? 'no reason given'}`,
        remedy: `enclaver logs ${name}`,
        enclave: id,
      },
    },
    {
      isSo: runs && clock !== undefined && isOff(clock),
      warning: {
        code: 'ENCLAVE_CLOCK',
        severity: 'warning',
        message: `the clock of ${name}: ${clock ?? ''}`,
        remedy: 'set `clock.sync: nsm` in the manifest; docs/clock.md',
        enclave: id,
      },
    },
  ];
}

/** Words of odyn's clock that ask for a look; one that is being led back is well. */
function isOff(clock: string): boolean {
  return / s (ahead of|behind) the NSM$/.test(clock) || clock.endsWith('not led back');
}
