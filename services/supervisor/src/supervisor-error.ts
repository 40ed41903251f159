export type SupervisorErrorCode =
  | 'BOOT_TIMEOUT'
  | 'BUS_NOT_STORING'
  | 'ENCLAVE_NOT_FOUND'
  | 'EIF_NOT_FOUND'
  | 'EIF_NO_MANIFEST'
  | 'HANDOVER_SILENT'
  | 'HOST_FULL'
  | 'KERNEL_PANIC'
  | 'LAUNCH_INVALID'
  | 'MACHINE_ENDED'
  | 'NAME_IN_USE'
  | 'PORT_NOT_FOR_HTTP'
  | 'TOO_MANY_PORTS'
  | 'PORT_NOT_IN_MANIFEST'
  | 'PROXY_SILENT'
  | 'START_TIMEOUT'
  | 'STATUS_INVALID'
  | 'STATUS_SILENT'
  | 'STOPPED'
  | 'SUPERVISOR_AWAY'
  | 'SUPERVISOR_STOPPING'
  | 'TOO_MANY_ENCLAVES'
  | 'UPDATE_RUNNING';

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
