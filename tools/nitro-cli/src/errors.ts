/** What the codes E00 to E60 are about, in words of our own; the text behind a code is free, only the code is stable. */
export const meanings: readonly string[] = [
  ...[
    'Something failed that has no code of its own.',
    'An argument is missing.',
    'Two arguments contradict each other.',
  ],
  ...[
    'An argument has a value that it cannot have.',
    'No socket pair could be made.',
    'The enclave process could not be spawned.',
  ],
  ...[
    'The enclave process could not become a daemon.',
    'The folder of sockets could not be read.',
    'The connection is of no use.',
  ],
  ...['A socket could not be closed.', 'The time limit of a socket could not be set.', 'A socket failed.'],
  ...['An event could not be waited for.', 'A file could not be watched.', 'The command is not known.'],
  ...['A lock could not be taken.', 'A thread did not end.', 'A message could not be encoded or decoded.'],
  ...[
    'The permissions of the log could not be set.',
    'A file could not be used.',
    'The CPUs asked for are no valid set.',
  ],
  ...['A CPU asked for is not in the pool.', 'The pool has too few CPUs.', 'The list of CPUs is malformed.'],
  ...[
    'An interval of CPUs is invalid.',
    'The size of the huge pages is not known.',
    'Too little memory was asked for.',
  ],
  ...['Too little memory is available.', 'The enclave has no valid descriptor.', 'A request to the driver failed.'],
  ...[
    'The place of the image in memory is not known.',
    'The driver refused a region of memory.',
    'The driver refused a CPU.',
  ],
  ...['The driver did not start the enclave.', 'The image exceeds the memory.', 'The image could not be parsed.'],
  ...[
    'The enclave did not boot.',
    'The enclave could not be watched.',
    'The enclave process did not carry out the command.',
  ],
  ...[
    'The enclave process could not be reached.',
    'The path of the socket is not known.',
    'The enclave process could not answer.',
  ],
  ...['Memory could not be mapped.', 'Memory could not be unmapped.', 'The console could not be connected.'],
  ...['The console could not be read.', 'The console text could not be written.', 'A number could not be parsed.'],
  ...[
    'The image could not be built.',
    'The container image could not be built.',
    'The container image could not be pulled.',
  ],
  ...['The path of artifacts is not set.', 'The path of blobs is not set.', 'The clock went back.'],
  ...['Signals could not be masked.', 'Signals could not be unmasked.', 'The logger could not be started.'],
  ...[
    'The hash could not be computed.',
    'There is no enclave of that name.',
    'The signature of the image is not valid.',
  ],
  'The image could not be signed.',
];

/** What ends a command of nitro-cli: its code, what it says of it, and its backtrace from the outside in. */
export class Failure extends Error {
  readonly number: number;
  readonly backtrace: readonly string[];

  constructor(number: number, said = '', backtrace: readonly string[] = []) {
    super(`${meanings[number]}${said === '' ? '' : ` ${said}`}`);
    this.name = 'Failure';
    this.number = number;
    this.backtrace = backtrace;
  }
}

export function codeOf(number: number): string {
  return `E${String(number).padStart(2, '0')}`;
}
