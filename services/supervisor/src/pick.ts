import { type EnclaveRecord, hasEnded } from '@enclaver/bus';
import { SupervisorError } from './supervisor-error.ts';

/**
 * The enclave of that id; else the one of that name: the one that runs (in an update, the one that has the ports), else one that is to
 * be started again, else the one that started last. Throws `ENCLAVE_NOT_FOUND`.
 */
export function pick(records: readonly EnclaveRecord[], id: string): EnclaveRecord {
  const rank = ({ state, takesOver, next }: EnclaveRecord): number => {
    if (hasEnded(state)) return next === undefined ? 3 : 2;
    return takesOver === undefined ? 0 : 1;
  };
  const started = ({ times }: EnclaveRecord): string => times.requested ?? '';
  const named = records.filter(({ name }) => name === id);
  const found =
    records.find((record) => record.id === id) ??
    named.toSorted((a, b) => rank(a) - rank(b) || started(b).localeCompare(started(a)))[0];
  if (found !== undefined) return found;
  throw new SupervisorError('ENCLAVE_NOT_FOUND', `there is no enclave ${id}`, { remedy: 'see `enclaver ps --all`' });
}
