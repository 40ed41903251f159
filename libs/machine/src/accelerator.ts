import { accessSync, constants, readFileSync } from 'node:fs';

/**
 * KVM only where the processor offers virtualisation to this very machine: `/dev/kvm` can be there and open without it,
 * and a stock kernel then does not boot.
 */
export function accelerator(): 'kvm' | 'tcg' {
  if (!/^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))) return 'tcg';
  return usable('/dev/kvm') ? 'kvm' : 'tcg';
}

/** Whether the kernel's own vsock for guests can be used; else vhost-device-vsock stands in for it. */
export function hasVhostVsock(): boolean {
  return usable('/dev/vhost-vsock');
}

/**
 * The rate of the time-stamp counter in kHz, which an emulated guest inherits and otherwise measures wrongly at times, to
 * hang in its boot. Undefined where only the scaled clock rate is known: a wrong figure is worse than none.
 */
export function hostTscKhz(): number | undefined {
  const base = read('/sys/devices/system/cpu/cpu0/cpufreq/base_frequency');
  if (base !== undefined) return Number(base);
  // With frequency scaling the figure in cpuinfo is the current one; a virtual machine has none and tells the counter's
  if (read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq') !== undefined) return undefined;
  const mhz = /^cpu MHz\s*:\s*([\d.]+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
  return mhz === undefined ? undefined : Math.round(Number(mhz) * 1000);
}

function usable(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    // Not there or not ours: either way it is not to be used
    return false;
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    // Such files come and go with kernel and driver
    return undefined;
  }
}
