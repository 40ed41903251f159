import type { EnclaveRecord, EnclaveState, PresentService, RaisedWarning } from '@enclaver/bus';
import { showText } from '@enclaver/eif';
import { formatDuration } from './duration.ts';
import { formatTable } from './table.ts';

/** What `enclaver status -o json` says. */
export interface Status {
  /** Nothing of the kind that makes the exit code 1. */
  ok: boolean;
  services: PresentService[];
  /** Needed, and not on the bus. */
  missing: string[];
  enclaves: Pick<EnclaveRecord, 'id' | 'name' | 'state'>[];
  warnings: RaisedWarning[];
}

/** `now` in milliseconds since 1970: services say when they started. */
export function formatStatus({ services, missing, enclaves, warnings }: Status, now: number): string {
  const present = services.map(({ service, version, started }) => [
    service,
    version,
    `up for ${formatDuration(now - Date.parse(started))}`,
  ]);
  const absent = missing.map((service) => [service, '-', 'not on the bus']);
  const counts = new Map<EnclaveState, number>();
  for (const { state } of enclaves) counts.set(state, (counts.get(state) ?? 0) + 1);
  const summary = [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
  const parts = [
    formatTable(['service', 'version', 'state'], [...present, ...absent]),
    `enclaves: ${enclaves.length === 0 ? 'none runs' : summary}\n`,
    warnings.length === 0 ? 'no warnings\n' : warnings.map(formatWarning).join(''),
  ];
  return parts.join('\n');
}

function formatWarning({ severity, code, message, remedy, service, since }: Status['warnings'][number]): string {
  const help = remedy === undefined ? '' : `  help: ${showText(remedy)}\n`;
  return `${severity}[${code}]: ${showText(message)}\n${help}  said by ${service} since ${since}\n`;
}
