import { type EnclaveEvent, type EnclaveResult, type PlannedRestart, type PublishedPort, placeOf } from '@enclaver/bus';
import { showText } from '@enclaver/eif';
import { formatProtocol } from '../publish.ts';

/** A lifecycle event as one line for people, safe to print: some of its texts are the enclave's own. */
export function describeEvent(event: EnclaveEvent): string {
  return showText(`${event.time} ${event.id} ${event.name}${detail(event)}`);
}

function detail(event: EnclaveEvent): string {
  switch (event.name) {
    case 'requested': {
      const { name, cpuCount, memoryMb, debug } = event.data.enclave;
      return `: ${name}, ${cpuCount} CPUs, ${memoryMb} MiB${debug ? ', debug mode' : ''}`;
    }
    case 'egress-ready':
      return ports(event.data.ingress);
    case 'proxy-failed':
      return `: ${event.data.error.message}`;
    case 'launching':
      return `: ${event.data.enclave.backend}`;
    case 'ready':
      return event.data.timings?.readyMs === undefined
        ? ''
        : `: ${Math.round(event.data.timings.readyMs)} ms after its kernel started${ports(event.data.ingress)}`;
    case 'unhealthy':
      return `: ${event.data.reason}`;
    case 'stopping':
      return `: ${event.data.graceMs} ms of grace`;
    case 'exited':
    case 'failed':
    case 'lost':
      return `: ${describeResult(event.data.result)}${after(event.data.restart)}`;
    case 'restart-cancelled':
      return `: ${event.data.restart.id} will not come`;
    case 'handover':
      return `: from ${event.data.from}${ports(event.data.ingress)}`;
    case 'handed-over':
      return `: from ${event.data.from}`;
    case 'handover-failed':
      return `: ${event.data.from} keeps its ports: ${event.data.error.message}`;
    case 'drained':
      return `: no connection left at ${event.data.from}`;
    case 'log-ended':
      return `: ${event.data.lines} lines, ${event.data.lost} lost`;
    default:
      return '';
  }
}

export function describeResult(result: EnclaveResult): string {
  switch (result.kind) {
    case 'exited':
      return `code ${result.code}${why(result)}`;
    case 'signaled':
      return `killed by ${result.signal}${why(result)}`;
    case 'fatal':
      return result.error;
    default:
      return `${result.error.code}: ${result.error.message}`;
  }
}

function after(restart: PlannedRestart | undefined): string {
  if (restart === undefined) return '';
  return `; ${restart.id} follows in ${(restart.afterMs / 1000).toFixed(1)} s, restart ${restart.restarts}`;
}

function why({ cause, detail }: { cause?: string | undefined; detail?: string | undefined }): string {
  if (cause === undefined) return '';
  return detail === undefined ? `, ${cause}` : `, ${cause}: ${detail}`;
}

function ports(ingress: readonly PublishedPort[]): string {
  return ingress.map((one) => `, ${placeOf(one)} to ${one.listenPort}${formatProtocol(one)}`).join('');
}
