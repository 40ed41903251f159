import { setTimeout as sleep } from 'node:timers/promises';
import type { Nsm } from '@enclaver/attestation/nsm';
import { type Manifest, needsKms } from '@enclaver/manifest';
import { Relay, type VsockTransport } from '@enclaver/vsock';
import type { EnclaveFigures } from '@enclaver/wire';
import type { Api } from './api/api.ts';
import type { BootTimes } from './bootstrap/boot-clock.ts';
import { type Configuration, readConfiguration } from './bootstrap/configuration.ts';
import { findInRoot } from './bootstrap/in-root.ts';
import { readBounded } from './bootstrap/read-bounded.ts';
import { Clock } from './clock/clock.ts';
import type { Egress } from './egress/egress.ts';
import { UnroutableLog } from './egress/unroutable.ts';
import { type AppEnd, Events } from './events.ts';
import { Ingress } from './ingress/ingress.ts';
import { waitForListeners } from './ingress/listeners.ts';
import type { Kms } from './kms/kms.ts';
import { type Account, resolveAccount } from './launcher/accounts.ts';
import { App } from './launcher/app.ts';
import { AppCgroup, type CgroupLimits } from './launcher/app-cgroup.ts';
import { appEnvironment, readEnvironment } from './launcher/environment.ts';
import { writeEtcFiles } from './launcher/etc-files.ts';
import { type MemoryPlan, planMemory } from './launcher/memory-plan.ts';
import { closeWriters, openOutputFifos } from './launcher/output-fifos.ts';
import { stopSignalNumber } from './launcher/signals.ts';
import { limits } from './limits.ts';
import { BackPressure } from './logs/back-pressure.ts';
import { LogRing } from './logs/log-ring.ts';
import { LogServer } from './logs/log-server.ts';
import { OdynLog } from './logs/odyn-log.ts';
import { OutputPipe } from './logs/output-pipe.ts';
import { type OpenedNsm, requireNsm } from './nsm/open-nsm.ts';
import { describeError } from './odyn-error.ts';
import { enclaveFigures } from './status/figures.ts';
import { StatusBoard } from './status/status-board.ts';
import { StatusServer } from './status/status-server.ts';
import { unlessOutOfDescriptors } from './system/descriptors.ts';
import { checkEntropy } from './system/entropy.ts';
import { ownMemory } from './system/own-memory.ts';
import type { System } from './system/system.ts';

export interface OdynOptions {
  /** To and from the parent. */
  readonly transport: VsockTransport;
  readonly boot: BootTimes;
  /** The app's file tree. */
  readonly root: string;
  readonly launchDescription: string;
  /** The starter of the app. */
  readonly launchPath: string;
  /** Where the kernel's cgroups (version 2) are mounted. Without, or without them, the app's memory and processes have no bounds. */
  readonly cgroupTree?: string;
  /** The program behind transparent egress. */
  readonly redirectPath: string;
  /** Where the named pipes `app.stdout` and `app.stderr` are. */
  readonly outputDirectory: string;
  /** The Nitro Secure Module; without one, sections of the manifest that need it are fatal. */
  readonly nsm?: Nsm;
  /** What answers as the NSM. */
  readonly nsmOrigin?: OpenedNsm['origin'];
  /** The machine, where odyn is alone in it: its random numbers are checked and its clock is kept. */
  readonly system?: System;
  /** How long the last word may wait for readers. */
  readonly lastWordMs?: number;
}

/** The inside of an enclave, from the first listener to the last word about the app. */
export class Odyn {
  readonly #options: OdynOptions;
  readonly #events = new Events();
  readonly #ring = new LogRing(limits.logRingBytes);
  readonly #log = new OdynLog(this.#ring);
  readonly #backPressure = new BackPressure();
  #app: App | undefined;
  /** The grace time of a stop that was asked for. */
  #stopGraceMs: number | undefined;
  readonly #stopAsked = new AbortController();

  constructor(options: OdynOptions) {
    this.#options = options;
    this.#events.on('stopping', ({ graceMs }) => {
      this.#log.info('stop asked for', { graceMs });
      this.#stopGraceMs = graceMs;
      this.#stopAsked.abort();
      this.#app?.stop(graceMs);
    });
  }

  /**
   * Runs the app to its end. Whatever goes wrong before the app runs is told as the status `fatal`; settled when a
   * reader has had the last word, or `lastWordMs` have passed.
   * @throws VsockError when not even the status can be served
   */
  async run(): Promise<void> {
    const { transport, boot, lastWordMs = limits.lastWordMs } = this.#options;
    const board = new StatusBoard(this.#events, boot);
    const status = await StatusServer.listen(transport, board, this.#log, ({ graceMs }) =>
      this.#events.emit('stopping', { graceMs }),
    );
    const logs = await LogServer.listen(transport, this.#ring, this.#log, this.#backPressure);
    this.#events.emit('starting');
    try {
      const end = await this.#runApp();
      this.#log.info('app ended', { ...end });
      this.#ring.end();
      this.#events.emit('exited', end);
    } catch (error) {
      const text = describeError(error);
      this.#log.error('app not started', { error: text });
      this.#ring.end();
      this.#events.emit('failed', { error: text });
    }
    const late = new AbortController();
    await Promise.race([
      Promise.all([status.finished, logs.finished]),
      sleep(lastWordMs, undefined, { signal: late.signal }).catch(() => {}),
    ]);
    late.abort();
    await Promise.all([status.close(), logs.close()]);
  }

  async #runApp(): Promise<AppEnd> {
    const configuration = readConfiguration(this.#options.root, this.#options.launchDescription);
    const over = new AbortController();
    await this.#prepareMachine(configuration.manifest, over.signal);
    const relay = new Relay();
    try {
      return await this.#runBetween(relay, configuration);
    } finally {
      over.abort();
      await relay.close();
    }
  }

  /** Nothing makes keys, or looks at the time, before this. */
  async #prepareMachine(manifest: Manifest, signal: AbortSignal): Promise<void> {
    const sync = manifest.clock?.sync ?? 'none';
    const { system, nsm, nsmOrigin } = this.#options;
    if (system === undefined) return;
    await checkEntropy(nsm && nsmOrigin && { nsm, origin: nsmOrigin }, system, this.#log);
    const clock = await Clock.start({
      system,
      sync,
      nsm: sync === 'nsm' ? requireNsm(nsm, 'clock') : nsm,
      log: this.#log,
      onWords: (words) => this.#events.emit('clock', { words }),
    });
    void clock.watch(signal);
  }

  /** From the way out to the app's end. Closing the relay ends whatever was opened before something failed. */
  async #runBetween(relay: Relay, configuration: Configuration): Promise<AppEnd> {
    const { transport } = this.#options;
    const { manifest } = configuration;
    const egress = await this.#openEgress(relay, manifest.egress);
    let kms: Kms | undefined;
    let api: Api | undefined;
    try {
      kms = await this.#openKms(configuration);
      api = await this.#openApi(manifest.api?.listenPort);
      const plan = this.#planMemory(manifest);
      const context = {
        root: this.#options.root,
        manifest,
        nsm: this.#options.nsm,
        transport,
        kms: kms?.client,
        log: this.#log,
        stop: this.#stopAsked.signal,
      };
      const ingress = await Ingress.open(transport, relay, context, plan.tlsConnections);
      const { app, outputs } = await this.#startApp(configuration, plan, egress?.port, kms);
      const unroutable = new UnroutableLog(this.#log);
      const over = new AbortController();
      const watch = this.#watchApp(manifest, AbortSignal.any([over.signal, this.#stopAsked.signal]));
      const stopTelling = this.#tellFigures(manifest, () =>
        enclaveFigures(ingress.stats(), egress?.counts(), kms?.counts()),
      );
      const end = await app.ended;
      stopTelling();
      over.abort();
      app.killAll();
      await Promise.all([watch, ingress.close(), ...outputs.map((output) => output.drain(limits.outputDrainMs))]);
      this.#log.info('traffic', {
        ...egress?.counts(),
        unroutable: unroutable.close(),
        ...kms?.counts(),
        ingress: JSON.stringify(ingress.stats()),
      });
      return end;
    } finally {
      await api?.close();
      await kms?.close();
      await egress?.close();
    }
  }

  /** Only where the manifest, which is measured, lets figures out. Returns what ends it. */
  #tellFigures({ metrics }: Manifest, figures: () => EnclaveFigures): () => void {
    if (metrics !== true) return () => undefined;
    const tell = (): void => {
      const told = unlessOutOfDescriptors(figures);
      if (told !== undefined) this.#events.emit('figures', told);
    };
    tell();
    const timer = setInterval(tell, limits.figuresEveryMs);
    return () => clearInterval(timer);
  }

  /** Undefined when the manifest allows nothing, and there is no proxy then. */
  async #openEgress(relay: Relay, egress: Manifest['egress']): Promise<Egress | undefined> {
    if (egress === undefined || egress.allow.length === 0) return undefined;
    // Node's HTTP costs memory and time: enclaves without it do not load it
    const { Egress } = await import('./egress/egress.ts');
    return Egress.open(this.#options.transport, relay, egress, this.#log, this.#options);
  }

  /** Throws OdynError NSM_MISSING, KMS_FILE; KmsError KMS_CREDENTIALS. */
  async #openKms({ manifest, launch }: Configuration): Promise<Kms | undefined> {
    if (!needsKms(manifest)) return undefined;
    const { transport, root } = this.#options;
    const nsm = requireNsm(this.#options.nsm, manifest.kmsProxy === undefined ? 'ingress[].tls' : 'kms_proxy');
    const { Kms } = await import('./kms/kms.ts');
    return Kms.open({ transport, nsm, env: readEnvironment(launch.env), manifest, root, log: this.#log });
  }

  /** Throws OdynError NSM_MISSING. */
  async #openApi(port: number | undefined): Promise<Api | undefined> {
    if (port === undefined) return undefined;
    const nsm = requireNsm(this.#options.nsm, 'api');
    const { Api } = await import('./api/api.ts');
    return Api.open({ port, nsm, log: this.#log });
  }

  /** Tells when the app is ready, and with a health check how it goes on, until `signal`. */
  async #watchApp({ ingress, health }: Manifest, signal: AbortSignal): Promise<void> {
    const ports = ingress.map(({ listenPort }) => listenPort);
    const onReady = (): void => {
      this.#log.info('ready', { ports: ports.join(','), ...ownMemory() });
      this.#events.emit('ready');
    };
    if (health === undefined) {
      if ((await waitForListeners(ports, signal)) && !signal.aborted) onReady();
      return;
    }
    const onUnhealthy = (reason: string): void => {
      this.#log.warn('unhealthy', { reason });
      this.#events.emit('unhealthy', { reason });
    };
    const { watchHealth } = await import('./health/watch-health.ts');
    await watchHealth({ health, ports, onReady, onUnhealthy }, signal);
  }

  async #startApp(
    { launch, manifest }: Configuration,
    { appBytes }: MemoryPlan,
    proxyPort: number | undefined,
    kms: Kms | undefined,
  ): Promise<{ app: App; outputs: readonly OutputPipe[] }> {
    const { root, launchPath, outputDirectory } = this.#options;
    const account = this.#accountOf(launch.user);
    const stopSignal = stopSignalNumber(launch.stopSignal);
    const kmsForApp = kms?.forApp(account.home);
    const env = appEnvironment({
      image: launch.env,
      home: account.home,
      ...(proxyPort === undefined ? {} : { proxyPort }),
      ...(manifest.api === undefined ? {} : { apiPort: manifest.api.listenPort }),
      ...(kmsForApp === undefined ? {} : { kms: kmsForApp }),
    });
    writeEtcFiles(root);
    const cgroup = this.#makeCgroup({ memoryBytes: appBytes, pids: manifest.limits.pids });
    const { openFiles } = manifest.limits;
    const fifos = openOutputFifos(outputDirectory);
    const outputs = (['stdout', 'stderr'] as const).map(
      (stream) => new OutputPipe(fifos.readers[stream], stream, this.#ring, this.#backPressure, this.#log),
    );
    let app: App;
    try {
      app = await App.start({
        launchPath,
        root,
        argv: launch.argv,
        env,
        workdir: launch.workdir,
        account,
        stopSignal,
        privileged: manifest.privileged ?? false,
        ...(cgroup === undefined ? {} : { cgroup }),
        ...(openFiles === undefined ? {} : { openFiles }),
        ...fifos.writers,
      });
    } finally {
      closeWriters(fifos);
    }
    this.#log.info('app started', { pid: app.pid, uid: account.uid, gid: account.gid, program: launch.argv[0] ?? '' });
    if (manifest.privileged) this.#log.warn('the app is privileged: nothing keeps it within the egress policy');
    this.#app = app;
    if (this.#stopGraceMs !== undefined) app.stop(this.#stopGraceMs);
    return { app, outputs };
  }

  /** Throws OdynError CGROUP. */
  #planMemory(manifest: Manifest): MemoryPlan {
    const plan = planMemory(readBounded('/proc/meminfo', limits.procFileBytes).toString('latin1'), manifest);
    if (manifest.ingress.some(({ tls, maxConnections }) => tls !== undefined && maxConnections === undefined))
      this.#log.info('bounds of ports with TLS', { connections: plan.tlsConnections });
    if (!plan.coversTls)
      this.#log.warn('clients with TLS may take memory that the app has', {
        reason: 'the ports may have more connections than there is memory for',
        remedy:
          'lower max_connections of the ports, give the enclave more memory, or the application less by limits.memory_mb',
      });
    return plan;
  }

  #makeCgroup(bounds: CgroupLimits): AppCgroup | undefined {
    const { cgroupTree } = this.#options;
    if (cgroupTree === undefined) return undefined;
    const cgroup = AppCgroup.make(cgroupTree, bounds);
    if (cgroup === undefined)
      this.#log.warn('no bounds for the app', { reason: 'this kernel has no cgroups for them' });
    else this.#log.info('bounds of the app', { ...bounds });
    return cgroup;
  }

  #accountOf(user: string): Account {
    const { root } = this.#options;
    const read = (path: string): string => {
      const found = findInRoot(root, path);
      return found === undefined ? '' : readBounded(found, limits.accountFileBytes).toString('utf8');
    };
    return resolveAccount(user, read('etc/passwd'), read('etc/group'));
  }
}
