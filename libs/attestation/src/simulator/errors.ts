export type SimulatorErrorCode = 'SIMULATOR_OPTION' | 'SIMULATOR_STATE' | 'DEVELOPMENT_ROOT_INVALID';

const remedies: Record<SimulatorErrorCode, string> = {
  SIMULATOR_OPTION: 'give measurements as `enclaver build` prints them, an instance id such as i-0123456789abcdef0',
  SIMULATOR_STATE: 'give what the same version saved, or start a new enclave',
  DEVELOPMENT_ROOT_INVALID: 'delete the file, and make a new development root',
};

/** The NSM simulator cannot be made. */
export class SimulatorError extends Error {
  override readonly name = 'SimulatorError';
  readonly code: SimulatorErrorCode;
  /** What the reader of the message can do about it, in one line. */
  readonly remedy: string;

  constructor(code: SimulatorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedies[code];
  }
}
