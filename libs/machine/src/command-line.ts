import type { EnclaveFiles } from './files.ts';
import type { MicrovmRequest } from './microvm-request.ts';

/** CID of a guest behind vhost-device-vsock: every device has a world of its own, so all may have the same. */
const UNIX_GUEST_CID = 16;
/** A guest's write of 60,000 bytes and more stalls with the default of 65,536 (seen with version 0.3). */
const VHOST_TX_BUFFER_BYTES = 32_768;

/**
 * All that QEMU can emulate, but for the fast string instructions: Linux and the C library, told of them, move and clear memory by
 * the byte, the ramdisks among it, and QEMU emulates that byte by byte. A boot takes a twelfth less processor time without.
 */
export const EMULATED_CPU = 'max,-erms,-fsrm';

export interface HostTraits {
  accelerator: 'kvm' | 'tcg';
  tscKhz: number | undefined;
  sandbox: boolean;
}

export function vhostArguments(files: EnclaveFiles, udsPath: string): string[] {
  const vm = `guest-cid=${UNIX_GUEST_CID},socket=${files.vhost},uds-path=${udsPath}`;
  return ['--vm', `${vm},tx-buffer-size=${VHOST_TX_BUFFER_BYTES}`];
}

/** What only a local machine needs is appended to the image's own command line. It is not part of any measurement. */
function kernelCommandLine(
  measured: string,
  vsock: MicrovmRequest['vsock'],
  { accelerator, tscKhz }: HostTraits,
): string {
  return [
    measured,
    // The host is CID 2 here; 3 on Nitro
    'enclaver.parent_cid=2',
    // Through Unix sockets the end of one direction cannot be told: odyn must end both
    ...(vsock.type === 'unix' ? ['enclaver.vsock=hybrid'] : []),
    // The device is the hypervisor's; here a simulator stands in for it
    'enclaver.nsm=vsock',
    // A panic ends the machine at once: the measured reboot=k would first try a keyboard controller that is not there
    'reboot=t',
    ...(accelerator === 'tcg' && tscKhz !== undefined ? [`tsc_early_khz=${tscKhz}`] : []),
  ].join(' ');
}

/** Arguments of qemu-system-x86_64: a microvm with a serial console, vsock, QMP, and nothing else. */
export function qemuArguments(request: MicrovmRequest, files: EnclaveFiles, traits: HostTraits): string[] {
  const { cpuCount, memoryMb, vsock, eif } = request;
  const kvm = traits.accelerator === 'kvm';
  return [
    ...['-M', 'microvm,memory-backend=mem0,isa-serial=on,rtc=on'],
    ...['-accel', kvm ? 'kvm' : 'tcg,thread=multi', '-cpu', kvm ? 'host' : EMULATED_CPU],
    ...['-smp', String(cpuCount), '-m', `${memoryMb}M`],
    // Shared: vhost-device-vsock reads and writes the guest's memory
    ...['-object', `memory-backend-memfd,id=mem0,size=${memoryMb}M,share=on`],
    ...['-kernel', files.kernel, '-initrd', files.initrd, '-append', kernelCommandLine(eif.cmdline, vsock, traits)],
    // event_idx=off: the device drops a kick that comes before it has enabled the ring (rust-vmm/vhost issue 247), and with
    // event indices the guest would never kick again: one boot in 25 on a busy machine
    ...(vsock.type === 'unix'
      ? [
          ...['-chardev', `socket,id=vhost,path=${files.vhost}`],
          ...['-device', 'vhost-user-vsock-device,chardev=vhost,event_idx=off'],
        ]
      : ['-device', `vhost-vsock-device,guest-cid=${vsock.cid}`]),
    ...['-chardev', `socket,id=console,path=${files.console},server=on,wait=off`, '-serial', 'chardev:console'],
    ...['-qmp', `unix:${files.qmp},server=on,wait=off`],
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ...(traits.sandbox ? ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'] : []),
  ];
}
