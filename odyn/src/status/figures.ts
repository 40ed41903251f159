import type { EnclaveFigures } from '@enclaver/wire';
import type { EgressCounts } from '../egress/gate.ts';
import type { PortCounts } from '../ingress/refusals.ts';
import type { KmsCounts } from '../kms/proxy/kms-proxy.ts';
import { machineMemory, ownMemory } from '../system/own-memory.ts';

/** What is told of the inside: sums, and nothing that names anybody. */
export function enclaveFigures(
  ports: readonly PortCounts[],
  egress: EgressCounts | undefined,
  kms: KmsCounts | undefined,
): EnclaveFigures {
  const { totalBytes, availableBytes } = machineMemory();
  const sum = (of: (port: PortCounts) => number): number => ports.reduce((total, port) => total + of(port), 0);
  return {
    memoryTotalBytes: totalBytes,
    memoryAvailableBytes: availableBytes,
    odynResidentBytes: ownMemory().residentBytes,
    ingressAccepted: sum(({ accepted }) => accepted),
    ingressRefused: sum(({ refused, rateLimited, denied, badHeaders }) => refused + rateLimited + denied + badHeaders),
    ...(egress && {
      egressOpened: egress.opened,
      egressRefused: egress.refused + egress.namesRefused,
      egressFailed: egress.failed,
    }),
    ...kms,
  };
}
