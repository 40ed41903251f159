/**
 * The kernel command line, part of PCR0 and PCR1. docs/decisions/0002-kernel-command-line.md has the reasons and figures.
 */
export const COMMAND_LINE = [
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
].join(' ');
