import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';

export type VsockErrorCode =
  | 'ADDON_MISSING'
  | 'ADDRESS_INVALID'
  | 'ADDRESS_IN_USE'
  | 'CANCELLED'
  | 'CHANNEL_REFUSED'
  | 'CONNECT_FAILED'
  | 'CONNECT_REFUSED'
  | 'CONNECT_TIMEOUT'
  | 'LISTEN_FAILED'
  | 'NO_VSOCK'
  | 'OPTION_INVALID'
  | 'RELAY_CLOSED'
  | 'RELAY_FULL'
  | 'STREAM_BUSY'
  | 'STREAM_CLOSED'
  | 'STREAM_FAILED'
  | 'STREAM_UNSUPPORTED'
  | 'SYSTEM_FAILED';

/** What went wrong below the streams. `errno` is the positive number of the system call's error, where one failed. */
export class VsockError extends Error {
  readonly code: VsockErrorCode;
  readonly remedy?: string;
  readonly errno?: number;

  constructor(code: VsockErrorCode, message: string, options: ErrorOptions & { remedy?: string; errno?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'VsockError';
    this.code = code;
    if (options.remedy !== undefined) this.remedy = options.remedy;
    if (options.errno !== undefined) this.errno = options.errno;
  }
}

const { errno } = constants;
const NO_DEVICE: readonly number[] = [errno.EAFNOSUPPORT, errno.ENODEV, errno.ENOENT, errno.ENXIO];
/** ECONNRESET: a closed port on AF_VSOCK. ENOENT, EPIPE: a vsock device that is not there yet, or whose guest is not. */
const REFUSED: readonly number[] = [errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOENT, errno.EPIPE];

/** ECONNRESET → "ECONNRESET", for messages. */
export function errnoName(number: number): string {
  return getSystemErrorName(-number);
}

/** The error for a connect to `where` that failed with this errno. */
export function connectError(where: string, number: number): VsockError {
  const name = errnoName(number);
  const options = { errno: number };
  if (number === errno.ETIMEDOUT) return new VsockError('CONNECT_TIMEOUT', `${where} did not answer in time`, options);
  if (REFUSED.includes(number))
    return new VsockError('CONNECT_REFUSED', `${where} refused the connection (${name})`, options);
  return noVsock(where, number) ?? new VsockError('CONNECT_FAILED', `connecting to ${where} failed (${name})`, options);
}

/** The error for a listener at `where` that could not be opened. */
export function listenError(where: string, number: number): VsockError {
  if (number === errno.EADDRINUSE)
    return new VsockError('ADDRESS_IN_USE', `${where} is already taken`, {
      errno: number,
      remedy: 'stop the process that listens there, or choose another address',
    });
  return (
    noVsock(where, number) ??
    new VsockError('LISTEN_FAILED', `listening at ${where} failed (${errnoName(number)})`, { errno: number })
  );
}

function noVsock(where: string, number: number): VsockError | undefined {
  if (!/^vsock (any|[0-9])/.test(where) || !NO_DEVICE.includes(number)) return undefined;
  return new VsockError('NO_VSOCK', `${where}: this kernel offers no vsock (${errnoName(number)})`, {
    errno: number,
    remedy: 'load the vsock modules and pass /dev/vsock into the container, or use the Unix-socket transport',
  });
}
