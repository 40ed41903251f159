import type { Bus } from '@enclaver/bus';
import { checkMeasurements, type Pcrs, uncheckable } from '@enclaver/trust';
import { type Command, Option } from 'commander';
import { CliError } from '../cli-error.ts';
import { parseLimit } from '../connection-limits.ts';
import { duration } from '../durations.ts';
import { enclaveName } from '../enclave-name.ts';
import { exitCodes } from '../exit-codes.ts';
import { readExpectation } from '../expectation.ts';
import { Follower } from '../follower.ts';
import { Interruption } from '../interruption.ts';
import { measureEif } from '../measure.ts';
import { positiveInteger } from '../numbers.ts';
import { formatFailure } from '../output/failure.ts';
import { parsePublish } from '../publish.ts';
import type { EnclaveOptions } from '../release-container/container-config.ts';
import { nitroParent } from '../release-container/nitro-parent.ts';
import { parseRestart } from '../restart-policy.ts';
import { runTargetOf } from '../run-target.ts';
import { openOrStartSession, stackRuns } from '../session.ts';

interface RunOptions extends EnclaveOptions {
  file?: string;
  verifyBeforeRun?: string;
  key?: string;
}

export function addRun(program: Command): void {
  program
    .command('run')
    .summary('run an enclave until its app ends')
    .description(
      'Runs an enclave and shows what its app writes. SIGINT and SIGTERM stop the app; a second one does not wait.\n' +
        'With --restart it goes on with the enclave that follows, until one ends for good.\n' +
        'Without a running stack it starts a private one and takes it down again; on Nitro a release image runs as a container,\n' +
        'unless it is to be verified first.\n' +
        `Exit code: the app's own; ${exitCodes.signaled} the app was killed by a signal; ${exitCodes.fatal} it could not be started;\n` +
        `${exitCodes.interrupted} interrupted; ${exitCodes.untrusted} not the expected image; ${exitCodes.failure} any other failure; ${exitCodes.usage} wrong usage.`,
    )
    .argument('[image]', 'release image, or path of an EIF; default: the target of ./enclaver.yaml')
    .option('-f, --file <manifest>', 'manifest whose target names the image')
    .option(
      '-p, --publish <[ip:]host:enclave[/http]>',
      'publish an ingress port; unix:/path:enclave is a Unix socket; /http[,host=NAME][,path=/PREFIX][,h2c] shares it by host and path (default: all of them on 127.0.0.1)',
      parsePublish,
    )
    .option(
      '--limit <name=n>',
      'bound its connections: {ingress,egress}-{connections,rate,bytes}, rate and bytes in a second; may be repeated',
      parseLimit,
    )
    .option('-P, --publish-all', 'publish all ingress ports under their own numbers on 0.0.0.0, for use in a container')
    .option('--cpu-count <n>', "CPUs (default: the manifest's)", positiveInteger)
    .option('--memory-mb <n>', "memory in MiB (default: the manifest's)", positiveInteger)
    .option('--name <name>', "name of the enclave (default: the manifest's)", enclaveName)
    .option(
      '--restart <policy>',
      'start it again when it ends: no, on-failure[:n] or always (default: no)',
      parseRestart,
    )
    .option(
      '--start-timeout <duration>',
      'it has failed when it is not ready after so long, such as 90s or 5m',
      duration,
    )
    .option('--verify-before-run <file>', 'start nothing unless the image has the measurements in this file')
    .option('--key <cosign.pub>', 'the file of --verify-before-run is signed by this key: a statement of cosign')
    .option('-d, --debug', 'debug mode: shows the console and the inside of the enclave; measurements are zero')
    // As the original calls it, and gives it to a release image
    .addOption(new Option('--debug-mode').implies({ debug: true }).hideHelp())
    .action(run);
}

async function run(image: string | undefined, options: RunOptions): Promise<void> {
  const expected = await expectationOf(options);
  const target = await runTargetOf(image, options.file);
  // Not even a stack is started for a file that is not the expected one
  if (target.eif !== undefined && expected !== undefined) checkMeasurements(expected, await measureEif(target.eif));
  // The command in an image that nobody has checked checks nothing: with an expectation a stack of ours measures and starts
  const nitro = target.image === undefined || expected !== undefined ? undefined : nitroParent(process.env);
  if (target.image !== undefined && nitro !== undefined && !(await stackRuns())) {
    const { runReleaseContainer } = await import('../release-container/release-container.ts');
    process.exitCode = await runReleaseContainer(target.image, options, nitro);
    return;
  }
  const interruption = new Interruption();
  // There is nothing to stop yet, and a private stack takes itself down when we are gone
  interruption.onFirst(() => process.exit(exitCodes.interrupted));
  await using session = await openOrStartSession();
  const { bus } = session;
  const eif = target.eif ?? (await bus.request('builder', 'extract', { image: target.image })).eif;
  const events = bus.events();
  await events.ready;
  // From here on there may be an enclave to stop
  interruption.onFirst(() => {});
  const { enclave } = await bus.request('supervisor', 'run', {
    eif,
    name: options.name,
    publish: options.publish,
    publishAll: options.publishAll,
    limits: options.limit,
    cpuCount: options.cpuCount,
    memoryMb: options.memoryMb,
    debug: options.debug,
    restart: options.restart,
    startTimeoutMs: options.startTimeout,
    // What the supervisor has read is what it starts
    expect: expected,
  });
  const follower = new Follower(bus, events, enclave.id, { debug: options.debug === true });
  interruption.onFirst(() => stopEnclave(bus, follower.id));
  if (session.isPrivate && enclave.storeOwner !== undefined) {
    process.stderr.write(
      'warning: this image keeps certificates outside, sealed, and the private stack of this command forgets them at its end: ' +
        'each run orders new ones. `enclaver up` keeps them.\n',
    );
  }
  try {
    process.exitCode = await follower.follow();
  } finally {
    interruption.close();
  }
  if (interruption.seen) process.exitCode = exitCodes.interrupted;
}

/** What `--verify-before-run` expects, read before anything else is done. */
async function expectationOf({ verifyBeforeRun, key, debug }: RunOptions): Promise<Pcrs | undefined> {
  if (verifyBeforeRun === undefined) {
    if (key === undefined) return undefined;
    throw new CliError('USAGE', '--key was given without --verify-before-run', 'name the signed file, too');
  }
  if (debug === true) {
    throw new CliError(
      'USAGE',
      '--verify-before-run and --debug were given; an enclave in debug mode attests zeros, whatever its image measures',
      'give one of them; `enclaver trust` measures an image without running it',
    );
  }
  const expected = await readExpectation(verifyBeforeRun, key);
  for (const register of uncheckable(expected)) {
    process.stderr.write(`not checked: ${register} of ${verifyBeforeRun} is about the instance, not the image\n`);
  }
  return expected;
}

async function stopEnclave(bus: Bus, id: string): Promise<void> {
  process.stderr.write('stopping; once more to end at once\n');
  await bus.request('supervisor', 'stop', { id }).catch((error: unknown) => {
    process.stderr.write(formatFailure(error));
  });
}
