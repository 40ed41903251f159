/**
 * Every error code of nitro-cli (`aws/aws-nitro-enclaves-cli`, `src/common/document_errors.rs`): what it is called there, what
 * stands behind it on a parent instance, and what to do. docs/nitro.md shows this table; a test compares them.
 */
export interface CodeMeaning {
  readonly name: string;
  readonly cause: string;
  readonly remedy: string;
  /** Passes by itself: an enclave that has just ended still holds what the next one needs. Such a start is tried again. */
  readonly passing?: true;
}

const SETUP = 'systemctl status nitro-enclaves-allocator, and install aws-nitro-enclaves-cli again';
const ALLOCATOR = '/etc/nitro_enclaves/allocator.yaml';
const RESTART = 'systemctl restart nitro-enclaves-allocator';
const RIGHTS = 'run the supervisor as root or in the group ne';
const REPORT = 'report it with the error log that the message names: Enclaver gives no such argument';
const RESOURCES = 'ulimit -n, free -m and dmesg on the parent say what it has run out of';
const BUILDING = 'build with `enclaver build`, which needs no nitro-cli';

export const codes: readonly CodeMeaning[] = [
  {
    name: 'unspecified',
    cause: 'nitro-cli says no more than that it failed',
    remedy: 'read the error log that the message names',
  },
  {
    name: 'missing argument',
    cause: 'this nitro-cli wants an argument that Enclaver does not give',
    remedy: 'use aws-nitro-enclaves-cli 1.2 or later',
  },
  {
    name: 'conflicting arguments',
    cause: 'this nitro-cli takes two arguments of Enclaver for a contradiction',
    remedy: REPORT,
  },
  { name: 'invalid argument', cause: 'this nitro-cli does not take the value of an argument', remedy: REPORT },
  { name: 'socket pair', cause: 'the parent gave nitro-cli no socket pair', remedy: RESOURCES },
  { name: 'spawn', cause: 'the parent could not start the process that holds an enclave', remedy: RESOURCES },
  { name: 'daemonize', cause: 'the process that holds an enclave could not leave its terminal', remedy: RESOURCES },
  {
    name: 'read from disk',
    cause: 'the folder /run/nitro_enclaves cannot be read',
    remedy: `it must be there and ours: ${SETUP}`,
  },
  {
    name: 'unusable connection',
    cause: 'the enclave is gone already',
    remedy: 'nothing: nitro-cli describe-enclaves lists what runs',
    passing: true,
  },
  { name: 'socket close', cause: 'the parent failed to close a socket of nitro-cli', remedy: RESOURCES },
  {
    name: 'socket timeout',
    cause: 'the time limit of a vsock connection could not be set',
    remedy: 'load the module vsock, and check that the container may open AF_VSOCK sockets',
  },
  {
    name: 'socket',
    cause: 'a socket of nitro-cli failed: no such enclave, or AF_VSOCK is refused',
    remedy:
      'nitro-cli describe-enclaves lists what runs; a container needs a seccomp profile that lets AF_VSOCK through',
  },
  { name: 'epoll', cause: 'the parent could not watch the enclave', remedy: RESOURCES },
  { name: 'inotify', cause: 'the parent has no inotify watch left', remedy: 'raise fs.inotify.max_user_instances' },
  {
    name: 'invalid command',
    cause: 'the process of an enclave is of another nitro-cli and does not know the command',
    remedy: 'stop the enclaves that an older nitro-cli started',
  },
  {
    name: 'lock',
    cause: 'a thread of nitro-cli ended while it held a lock',
    remedy: 'stop the enclave and start it again',
  },
  { name: 'thread join', cause: 'a thread of nitro-cli did not end', remedy: 'stop the enclave and start it again' },
  {
    name: 'serialisation',
    cause: 'nitro-cli and the process of an enclave do not understand each other',
    remedy: 'stop the enclaves that an older nitro-cli started',
  },
  {
    name: 'file permissions',
    cause: 'the log /var/log/nitro_enclaves/nitro_enclaves.log belongs to another user',
    remedy: RIGHTS,
  },
  {
    name: 'file operation',
    cause: 'a file could not be opened: the image, /dev/nitro_enclaves, or the log',
    remedy: `check that they are there and readable; ${RIGHTS}`,
  },
  {
    name: 'invalid CPU configuration',
    cause: 'the CPUs asked for are not whole cores, or one is named twice',
    remedy: 'give --cpu-count an even number where cores have two threads',
  },
  {
    name: 'CPU not in the pool',
    cause: 'a CPU that was asked for is not in the pool of the allocator',
    remedy: `add it to cpu_pool in ${ALLOCATOR}, then ${RESTART}`,
  },
  {
    name: 'too few CPUs',
    cause: 'the pool of the allocator has fewer CPUs than were asked for',
    remedy: `raise cpu_count in ${ALLOCATOR} and ${RESTART}, or give the enclave fewer: --cpu-count`,
  },
  {
    name: 'malformed CPU id',
    cause: 'the list of CPUs of the parent could not be read',
    remedy: 'lscpu on the parent must list its CPUs',
  },
  {
    name: 'CPU',
    cause: 'the pool of the allocator is no list of CPUs',
    remedy: `write cpu_pool in ${ALLOCATOR} as 2,3 or 2-5, then ${RESTART}`,
  },
  {
    name: 'no such huge page',
    cause: 'the parent has huge pages of a size that nitro-cli does not know',
    remedy: `let the allocator reserve them: memory_mib in ${ALLOCATOR}`,
  },
  {
    name: 'too little memory asked for',
    cause: 'an enclave must have at least four times the size of its image',
    remedy: 'give it more: --memory-mb, or defaults.memory_mb in the manifest',
  },
  {
    name: 'too little memory free',
    cause: 'the parent has fewer huge pages free than the enclave needs',
    remedy: `raise memory_mib in ${ALLOCATOR} and ${RESTART}, stop another enclave, or give this one less: --memory-mb`,
  },
  {
    name: 'invalid enclave descriptor',
    cause: '/dev/nitro_enclaves made no enclave',
    remedy: 'dmesg says why; four enclaves are the most on one parent',
  },
  {
    name: 'ioctl',
    cause: 'the driver refused a step of the start, and nitro-cli does not say which',
    remedy: 'dmesg on the parent has the words of the driver',
    passing: true,
  },
  {
    name: 'image load info',
    cause: 'the driver did not say where the image goes',
    remedy: 'update the kernel of the parent',
  },
  {
    name: 'memory region',
    cause: 'the driver refused a piece of memory',
    remedy: 'huge pages and CPUs must be of one NUMA node: reboot, or restart the allocator right after the boot',
  },
  {
    name: 'add CPU',
    cause: 'the driver refused a CPU',
    remedy: `check cpu_pool or cpu_count in ${ALLOCATOR}, then ${RESTART}`,
    passing: true,
  },
  {
    name: 'start',
    cause: 'the hypervisor refused to start the enclave',
    remedy: 'dmesg on the parent has the words of the driver',
    passing: true,
  },
  {
    name: 'memory overflow',
    cause: 'the image does not fit into the memory of the enclave',
    remedy: 'give it more: --memory-mb, or defaults.memory_mb in the manifest',
  },
  {
    name: 'EIF parsing',
    cause: 'nitro-cli cannot read the image',
    remedy: 'build or fetch it again; `enclaver eif inspect` says whether it is whole',
  },
  {
    name: 'boot',
    cause: 'the enclave did not report within the time that nitro-cli waits',
    remedy: 'start it with --debug and read its console; give it more memory if the kernel could not unpack the image',
  },
  { name: 'event wait', cause: 'the parent could not wait for the end of the enclave', remedy: RESOURCES },
  {
    name: 'command not executed',
    cause: 'the process of an enclave did not answer: it is ending',
    remedy: 'nothing, if it passes; else nitro-cli terminate-enclave --all',
    passing: true,
  },
  {
    name: 'enclave process connection',
    cause: 'the process of an enclave could not be reached: it has just ended, or hangs',
    remedy:
      'nothing, if it passes; else end the nitro-cli processes that are left and remove their sockets in /run/nitro_enclaves',
    passing: true,
  },
  {
    name: 'socket path',
    cause: 'there is no socket for that enclave: it has ended',
    remedy: 'nothing: nitro-cli describe-enclaves lists what runs',
  },
  {
    name: 'send reply',
    cause: 'the process of an enclave could not answer nitro-cli',
    remedy: 'nothing, if it passes; else nitro-cli terminate-enclave --all',
    passing: true,
  },
  {
    name: 'mmap',
    cause: 'the huge pages could not be mapped',
    remedy: `the container or cgroup must not limit hugetlb; else raise memory_mib in ${ALLOCATOR}`,
  },
  { name: 'munmap', cause: 'the huge pages of an enclave could not be given back', remedy: RESTART },
  {
    name: 'console connect',
    cause: 'there is no console: the enclave is not in debug mode, or another reader has it',
    remedy: 'start it with --debug',
  },
  { name: 'console read', cause: 'the console broke off', remedy: 'the enclave has ended; enclaver events says how' },
  {
    name: 'console write',
    cause: 'nobody reads the console any more',
    remedy: 'nothing: the log-relay reads it again when it is back',
  },
  {
    name: 'integer parsing',
    cause: 'nitro-cli could not read the CID of an enclave',
    remedy: 'stop the enclaves that an older nitro-cli started',
  },
  { name: 'EIF building', cause: 'nitro-cli could not build an image', remedy: BUILDING },
  { name: 'image build', cause: 'nitro-cli could not build a container image', remedy: BUILDING },
  { name: 'image pull', cause: 'nitro-cli could not pull a container image', remedy: BUILDING },
  { name: 'artifacts path', cause: 'NITRO_CLI_ARTIFACTS and HOME are not set', remedy: BUILDING },
  { name: 'blobs path', cause: 'NITRO_CLI_BLOBS leads nowhere', remedy: BUILDING },
  {
    name: 'clock skew',
    cause: 'the clock of the parent went back while the console was read',
    remedy: 'let chrony keep the clock of the parent',
  },
  {
    name: 'mask signals',
    cause: 'nitro-cli could not block signals',
    remedy: 'the seccomp profile of the container must let rt_sigprocmask through',
  },
  {
    name: 'unmask signals',
    cause: 'nitro-cli could not unblock signals',
    remedy: 'the seccomp profile of the container must let rt_sigprocmask through',
  },
  {
    name: 'logger',
    cause: 'nitro-cli cannot write to /var/log/nitro_enclaves',
    remedy: 'make the folder, writable for the user of the supervisor; NITRO_CLI_LOGS_PATH names another',
  },
  {
    name: 'hasher',
    cause: 'nitro-cli could not measure the image',
    remedy: 'check that the image can be read to its end: `enclaver eif inspect`',
  },
  {
    name: 'naming',
    cause: 'there is no enclave of that name',
    remedy: 'nothing: nitro-cli describe-enclaves lists what runs',
  },
  {
    name: 'signature check',
    cause: 'the signature of the image or the dates of its certificate are not valid',
    remedy: '`enclaver eif inspect` says which; sign the image again',
  },
  { name: 'signing', cause: 'nitro-cli could not sign an image', remedy: 'sign with `enclaver eif sign`' },
];

/**
 * What the driver says behind E29 and its kind, in the words of nitro-cli's backtrace (`src/enclave_proc/resource_manager.rs`),
 * which is asked for by BACKTRACE=1; and the one case of E36 that is about another enclave.
 */
export const reasons: readonly (CodeMeaning & { readonly said: RegExp })[] = [
  {
    name: 'heartbeat port',
    said: /vsock bind error/,
    cause: 'another enclave of this parent is booting, and vsock port 9000 is held for its heartbeat',
    remedy: 'nothing, if it passes; else find who listens at vsock port 9000: ss --vsock -l',
    passing: true,
  },
  {
    name: 'CPU in use',
    said: /vCPU is already used/,
    cause: 'another enclave has the CPU, or has just ended and not given it back',
    remedy: 'nothing, if it passes; else stop the other enclave',
    passing: true,
  },
  {
    name: 'CPU not in the pool',
    said: /not available in the CPU pool/,
    cause: 'a CPU that was asked for is not in the pool of the allocator',
    remedy: `raise cpu_count in ${ALLOCATOR}, then ${RESTART}`,
  },
  {
    name: 'no CPU left',
    said: /no CPUs are available in the pool/,
    cause: 'all CPUs of the pool are with other enclaves, or one has just ended and not given them back',
    remedy: `nothing, if it passes; else raise cpu_count in ${ALLOCATOR}, then ${RESTART}`,
    passing: true,
  },
  {
    name: 'unknown core',
    said: /vCPU core ID is invalid|vCPU is out of range/,
    cause: 'the pool of the allocator names a CPU that the parent has not',
    remedy: `check cpu_pool in ${ALLOCATOR} with lscpu, then ${RESTART}`,
  },
  {
    name: 'half a core',
    said: /full CPU cores have not been set/,
    cause: 'the cores of this parent have two threads, and an enclave gets whole cores',
    remedy: 'give --cpu-count an even number',
  },
  {
    name: 'another NUMA node',
    said: /different NUMA nodes/,
    cause: 'the huge pages are of another NUMA node than the CPUs of the pool',
    remedy: `${RESTART}, best right after a boot: the allocator takes both from one node`,
  },
  {
    name: 'no huge page',
    said: /not backed by (contiguous physical huge page|page)/,
    cause: 'memory that is no huge page was given to the driver',
    remedy: RESTART,
  },
  {
    name: 'too many pieces',
    said: /maximum number of memory regions/,
    cause: 'the memory consists of more pieces than the hypervisor takes',
    remedy: `let the allocator reserve pages of 1 GiB: raise memory_mib in ${ALLOCATOR} right after a boot`,
  },
  {
    name: 'memory below 64 MiB',
    said: /lower than the minimum supported/,
    cause: 'an enclave needs 64 MiB at least',
    remedy: 'give it more: --memory-mb',
  },
  {
    name: 'CID refused',
    said: /enclave CID is invalid/,
    cause: 'the hypervisor does not take this CID',
    remedy: 'start it again: it gets another',
  },
  {
    name: 'owner of the enclave',
    said: /incorrect state to set resources/,
    cause: 'the enclave had been started before',
    remedy: 'start it again',
  },
];
