export type SupervisorErrorCode =
  | 'ARCH_UNSUPPORTED'
  | 'BOOT_TIMEOUT'
  | 'ENCLAVE_NOT_FOUND'
  | 'EIF_NOT_FOUND'
  | 'EIF_NO_MANIFEST'
  | 'KERNEL_PANIC'
  | 'LAUNCH_INVALID'
  | 'MACHINE_ENDED'
  | 'MACHINE_FAILED'
  | 'MEMORY_TOO_SMALL'
  | 'NAME_IN_USE'
  | 'PORT_NOT_IN_MANIFEST'
  | 'PROXY_SILENT'
  | 'QEMU_MISSING'
  | 'RUN_DIR_TOO_LONG'
  | 'STATUS_INVALID'
  | 'STATUS_SILENT'
  | 'STOPPED'
  | 'SUPERVISOR_AWAY'
  | 'SUPERVISOR_STOPPING'
  | 'TOO_MANY_ENCLAVES'
  | 'VHOST_DEVICE_VSOCK_MISSING';

/** What keeps an enclave from starting, or ended it. */
export class SupervisorError extends Error {
  readonly code: SupervisorErrorCode;
  readonly remedy: string | undefined;

  constructor(code: SupervisorErrorCode, message: string, options: ErrorOptions & { remedy?: string } = {}) {
    super(message, options);
    this.name = 'SupervisorError';
    this.code = code;
    this.remedy = options.remedy;
  }
}
