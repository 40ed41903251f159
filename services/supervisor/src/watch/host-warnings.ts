import type { Room, Warning } from '@enclaver/bus';

/** Share of its room from which a store counts as nearly full. */
const NEARLY = 0.85;

/** Warnings about what the enclaves of this host stand on, each with whether it is so now. */
export function storageWarnings(use: { all: Room; blobs: Room }): { isSo: boolean; warning: Warning }[] {
  return [
    {
      isSo: isNearlyFull(use.all),
      warning: {
        code: 'BUS_NEARLY_FULL',
        severity: 'error',
        message: `the bus keeps ${percent(use.all)} of the bytes that it may: when it is full, no state and no event is stored`,
        remedy: 'find what fills it with `nats stream report`, and give JetStream more room (max_file_store)',
      },
    },
    {
      isSo: isNearlyFull(use.blobs),
      warning: {
        code: 'STORE_NEARLY_FULL',
        severity: 'warning',
        message: `the store of sealed values is full to ${percent(use.blobs)}: when it is full, enclaves cannot keep certificates`,
        remedy: 'remove the values of images that are no longer used; docs/store.md',
      },
    },
  ];
}

/** What is true of the machines of the `qemu` backend, for as long as there are any. */
export function emulationWarnings(
  isSo: boolean,
  accelerator: 'kvm' | 'tcg' | undefined,
): { isSo: boolean; warning: Warning }[] {
  return [
    {
      isSo: isSo && accelerator === 'tcg',
      warning: {
        code: 'SOFTWARE_EMULATION',
        severity: 'info',
        message: 'enclaves run in software emulation, since this host has no usable KVM: they are slow',
        remedy: 'run them where /dev/kvm is usable, or on Nitro',
      },
    },
    {
      isSo,
      warning: {
        code: 'DEVELOPMENT_NSM',
        severity: 'info',
        message: 'enclaves attest with a development root that anybody on this host could use: no proof of anything',
        remedy: 'for secrets in earnest run them on Nitro; docs/nsm.md',
      },
    },
  ];
}

function isNearlyFull({ used, max }: Room): boolean {
  return max > 0 && used >= NEARLY * max;
}

function percent({ used, max }: Room): string {
  return `${Math.floor((100 * used) / max)} %`;
}
