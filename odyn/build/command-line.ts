import type { Arch } from './arch.ts';

/**
 * The kernel command line, part of PCR0 and PCR1. docs/decisions/0002-kernel-command-line.md has the reasons and figures.
 */
export const COMMAND_LINE: Readonly<Record<Arch, string>> = {
  x86_64: [
    'reboot=k',
    'panic=-1',
    'pci=off',
    'console=ttyS0',
    'i8042.noaux',
    'i8042.nomux',
    'i8042.nopnp',
    'i8042.dumbkbd',
    'random.trust_cpu=on',
    'quiet',
  ].join(' '),
  aarch64: ['panic=-1', 'console=ttyS0', 'random.trust_cpu=on', 'quiet'].join(' '),
};
