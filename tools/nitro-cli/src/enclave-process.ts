import { randomBytes } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Eif, readEif, verifySignature } from '@enclaver/eif';
import { type Microvm, Microvms } from '@enclaver/machine';
import { pino } from 'pino';
import { ConsoleRing } from './console-ring.ts';
import { EnclaveSocket } from './enclave-socket.ts';
import { Failure } from './errors.ts';
import { limits } from './limits.ts';
import { tryHold } from './lock.ts';
import { type Launch, launchSchema, type Report } from './messages.ts';
import { type EnclaveInfo, measurementsOf } from './output.ts';
import { type Parent, parentOf } from './parent.ts';
import { type Claim, memoryOf, Pool } from './pool.ts';

/**
 * The process that holds an enclave: in the real nitro-cli the descriptor of the driver, here QEMU. It ends with the enclave, and
 * the enclave with it.
 */
const MIB = 1024 ** 2;
const EIF_RATIO = 4;
const logger = pino({ level: 'warn' }, pino.destination(2));

function say(report: Report): void {
  process.send?.(report);
}

async function launch(request: Launch, parent: Parent): Promise<void> {
  const pool = new Pool(parent);
  const eif = await openImage(request, parent);
  say({ progress: 'Start allocating memory...' });
  const claim = await pool.claim({ memoryMb: request.memoryMb, cpus: request.cpus, cid: request.cid });
  const slot = randomBytes(8).toString('hex').replace(/^0+/, '');
  const folder = join(parent.machines, slot);
  try {
    const { machine, console } = await boot({ eif, request, claim, folder }, parent);
    const info: EnclaveInfo = {
      EnclaveName: request.name,
      EnclaveID: `${parent.instanceId}-enc${slot}`,
      ProcessID: process.pid,
      EnclaveCID: claim.cid,
      NumberOfCPUs: claim.cpus.length,
      CPUIDs: claim.cpus,
      MemoryMiB: memoryOf(claim),
    };
    const described = { ...info, State: 'RUNNING', Flags: request.debug ? 'DEBUG_MODE' : 'NONE', ...about(eif) };
    const socket = await EnclaveSocket.listen(join(parent.sockets, `${slot}.sock`), {
      describe: () => described,
      terminate: () => machine.kill(),
      console: request.debug ? console : undefined,
    });
    say({ started: info });
    process.disconnect?.();
    await machine.gone;
    await socket.close();
  } finally {
    await cleanUp(parent, folder, claim);
    await pool.release();
  }
}

async function openImage({ eifPath, memoryMb }: Launch, { device }: Parent): Promise<Eif> {
  const { size } = await stat(eifPath).catch(() => {
    throw new Failure(19, `File: '${eifPath}', failing operation: 'Open'.`);
  });
  if (EIF_RATIO * size > memoryMb * MIB) {
    const least = Math.ceil(size / MIB) * EIF_RATIO;
    throw new Failure(26, `\`memory\` is ${memoryMb} MB, and the image needs ${least} MB.`);
  }
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
  } catch {
    throw new Failure(19, `File: '${device}', failing operation: 'Open'.`);
  }
  const eif = await readEif(eifPath).catch((error: { code?: string; message: string }) => {
    throw new Failure(error.code === 'EIF_SIGNATURE' ? 59 : 35, '', [error.message]);
  });
  try {
    if (eif.signature !== undefined) verifySignature(eif, { at: new Date() });
  } catch (error) {
    throw new Failure(59, '', [(error as Error).message]);
  }
  return eif;
}

interface Boot {
  eif: Eif;
  request: Launch;
  claim: Claim;
  folder: string;
}

/** Starts the machine and waits for the heartbeat, which comes to a port that the whole host has once. */
async function boot(
  { eif, request, claim, folder }: Boot,
  parent: Parent,
): Promise<{ machine: Microvm; console: ConsoleRing }> {
  const port = await tryHold(parent.root, 'vsock-9000');
  if (port === undefined) {
    throw new Failure(36, '', ['Enclave boot heartbeat vsock connection - vsock bind error']);
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await mkdir(parent.vsock, { recursive: true });
    const microvms = new Microvms({ dieWithUs: true, nsm: { rootDir: parent.nsm, logger } });
    const { cpus, cid } = claim;
    const machine = await microvms.launch({
      folder,
      eif,
      cpuCount: cpus.length,
      memoryMb: memoryOf(claim),
      vsock: { type: 'unix', path: join(parent.vsock, String(cid)) },
      debug: request.debug,
    });
    say({
      progress: `Started enclave with enclave-cid: ${cid}, memory: ${memoryOf(claim)} MiB, cpu-ids: [${cpus.join(', ')}]`,
    });
    const console = await ConsoleRing.read(join(folder, 'console.sock'));
    const late = new AbortController();
    const timeout = sleep(limits.bootMs, 'late', { signal: late.signal }).catch(() => 'late');
    const what = await Promise.race([machine.booted.then(() => 'booted'), machine.gone.then(() => 'gone'), timeout]);
    late.abort();
    if (what === 'booted') return { machine, console };
    await machine.kill();
    throw new Failure(36, '', [`Waiting on enclave to boot failed: ${what}`, ...console.lines()]);
  } finally {
    port.release();
  }
}

/** What `describe-enclaves` says of the image. */
function about({ measurements, metadata }: Eif): object {
  const { ImageName, ImageVersion, BuildMetadata, DockerInfo } = metadata;
  const Metadata = { ...BuildMetadata, DockerInfo };
  return { Measurements: measurementsOf(measurements), ImageName, ImageVersion, Metadata };
}

async function cleanUp({ vsock }: Parent, folder: string, { cid }: Claim): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const sockets = await readdir(vsock).catch(() => []);
  for (const name of sockets) if (name.split('_')[0] === String(cid)) await rm(join(vsock, name), { force: true });
}

process.once('message', (message) => {
  const parent = parentOf(process.env);
  launch(launchSchema.parse(message), parent)
    .catch((error: unknown) => {
      const { number, message: said, backtrace } = error instanceof Failure ? error : new Failure(0, String(error));
      say({ failed: { number, said, backtrace: [...backtrace] } });
    })
    .finally(() => {
      if (process.connected) process.disconnect();
    });
});
