export type MachineErrorCode =
  | 'ARCH_UNSUPPORTED'
  | 'MACHINE_FAILED'
  | 'MEMORY_TOO_SMALL'
  | 'QEMU_MISSING'
  | 'RUN_DIR_TOO_LONG'
  | 'VHOST_DEVICE_VSOCK_MISSING';

/** What keeps a machine from starting. */
export class MachineError extends Error {
  readonly code: MachineErrorCode;
  readonly remedy: string | undefined;

  constructor(code: MachineErrorCode, message: string, options: ErrorOptions & { remedy?: string } = {}) {
    super(message, options);
    this.name = 'MachineError';
    this.code = code;
    this.remedy = options.remedy;
  }
}
