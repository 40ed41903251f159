// Written by libs/bus/scripts/generate.ts from the schemas of the bus.

export type Measurements = {
  PCR0: string;
  PCR1: string;
  PCR2: string;
  PCR8?: string;
};

export type PublishedPort = {
  listenPort: number;
  host: string;
  port: number;
  path?: string;
  reportPeer?: boolean;
  protocol?: 'tcp' | 'http';
  route?: {
    host?: string;
    path?: string;
    h2c?: boolean;
  };
};

export type ErrorData = {
  code: string;
  message: string;
  remedy?: string;
};

export type EnclaveResult = {
  kind: 'exited';
  code: number;
  cause?: string;
  detail?: string;
} | {
  kind: 'signaled';
  signal: string;
  cause?: string;
  detail?: string;
} | {
  kind: 'fatal';
  error: string;
} | {
  kind: 'failed';
  error: ErrorData;
} | {
  kind: 'lost';
  error: ErrorData;
};

export type EnclaveRecord = {
  id: string;
  name: string;
  state: 'requested' | 'launching' | 'booting' | 'starting' | 'ready' | 'unhealthy' | 'stopping' | 'exited' | 'failed' | 'lost';
  backend: 'qemu' | 'nitro';
  eif: string;
  measurements: Measurements;
  cpuCount: number;
  memoryMb: number;
  debug: boolean;
  vsock: {
    type: 'vsock';
    cid: number;
  } | {
    type: 'unix';
    path: string;
  };
  console?: string;
  ingress: Array<PublishedPort>;
  egress: boolean;
  limits?: {
    ingressConnections?: number;
    egressConnections?: number;
    ingressPerSecond?: number;
    egressPerSecond?: number;
    ingressBytesPerSecond?: number;
    egressBytesPerSecond?: number;
  };
  storeOwner?: string;
  pid?: number;
  timings?: {
    initMs: number;
    odynMs: number;
    startingMs: number;
    readyMs?: number;
  };
  clock?: string;
  figures?: Record<string, number>;
  reason?: string;
  result?: EnclaveResult;
  restart?: {
    policy: 'no';
  } | {
    policy: 'on-failure';
    max?: number;
  } | {
    policy: 'always';
  };
  restarts?: number;
  previous?: string;
  streak?: number;
  next?: {
    id: string;
    afterMs: number;
    restarts: number;
    streak: number;
  };
  replaces?: string;
  takesOver?: string;
  update?: {
    ingress: Array<PublishedPort>;
    drainMs: number;
    graceMs: number;
  };
  startTimeoutMs?: number;
  times: Partial<Record<string, string>>;
};

/** accepted; the outer-proxy opens its listeners, and nothing starts before `egress-ready` */
export type RequestedData = {
  enclave: EnclaveRecord;
};

/** the listeners are open, at these addresses */
export type EgressReadyData = {
  ingress: Array<PublishedPort>;
};

/** a listener could not be opened; `failed` follows */
export type ProxyFailedData = {
  error: ErrorData;
};

/** the machine is being started */
export type LaunchingData = {
  enclave: EnclaveRecord;
};

/** kernel and init are up */
export type BootingData = Record<string, never>;

/** odyn is up and starts the app */
export type StartingData = {
  timings?: {
    initMs: number;
    odynMs: number;
    startingMs: number;
    readyMs?: number;
  };
};

/** the app listens on every ingress port; with `health`, a check has passed; again after `unhealthy` */
export type ReadyData = {
  timings?: {
    initMs: number;
    odynMs: number;
    startingMs: number;
    readyMs?: number;
  };
  ingress: Array<PublishedPort>;
};

/** the app failed its health check as often as `health.retries` says; `enclaver ps` shows the reason */
export type UnhealthyData = {
  reason: string;
};

/** a stop was asked for; the app has this long before it is killed */
export type StoppingData = {
  graceMs: number;
};

/** the app ended */
export type ExitedData = {
  result: EnclaveResult;
  restart?: {
    id: string;
    afterMs: number;
    restarts: number;
    streak: number;
  };
};

/** the app never ran */
export type FailedData = {
  result: EnclaveResult;
  console: Array<string>;
  restart?: {
    id: string;
    afterMs: number;
    restarts: number;
    streak: number;
  };
};

/** the machine died under the app */
export type LostData = {
  result: EnclaveResult;
  console: Array<string>;
  restart?: {
    id: string;
    afterMs: number;
    restarts: number;
    streak: number;
  };
};

/** of the enclave that ended: the restart that its end announced will not come, since somebody stopped it */
export type RestartCancelledData = {
  restart: {
    id: string;
    afterMs: number;
    restarts: number;
    streak: number;
  };
};

/** of the new enclave of an update, once it is ready: the ports of `from` shall lead to `to` now; may come again, and asks for the same then */
export type HandoverData = {
  from: string;
  to: string;
  ingress: Array<PublishedPort>;
};

/** of the new enclave: new connections go to `to`; open ones stay with `from` */
export type HandedOverData = {
  from: string;
  to: string;
  ingress: Array<PublishedPort>;
};

/** of the new enclave: the ports still lead to `from` */
export type HandoverFailedData = {
  from: string;
  to: string;
  error: ErrorData;
};

/** of the new enclave, after `handed-over`: `from` has no open connection any more */
export type DrainedData = {
  from: string;
  to: string;
};

/** no log line will follow; `lost` counts those that were dropped */
export type LogEndedData = {
  lines: number;
  lost: number;
};

/** What each event carries as `data`, by its name. */
export interface EventData {
  /** accepted; the outer-proxy opens its listeners, and nothing starts before `egress-ready` */
  requested: RequestedData;
  /** the listeners are open, at these addresses */
  'egress-ready': EgressReadyData;
  /** a listener could not be opened; `failed` follows */
  'proxy-failed': ProxyFailedData;
  /** the machine is being started */
  launching: LaunchingData;
  /** kernel and init are up */
  booting: BootingData;
  /** odyn is up and starts the app */
  starting: StartingData;
  /** the app listens on every ingress port; with `health`, a check has passed; again after `unhealthy` */
  ready: ReadyData;
  /** the app failed its health check as often as `health.retries` says; `enclaver ps` shows the reason */
  unhealthy: UnhealthyData;
  /** a stop was asked for; the app has this long before it is killed */
  stopping: StoppingData;
  /** the app ended */
  exited: ExitedData;
  /** the app never ran */
  failed: FailedData;
  /** the machine died under the app */
  lost: LostData;
  /** of the enclave that ended: the restart that its end announced will not come, since somebody stopped it */
  'restart-cancelled': RestartCancelledData;
  /** of the new enclave of an update, once it is ready: the ports of `from` shall lead to `to` now; may come again, and asks for the same then */
  handover: HandoverData;
  /** of the new enclave: new connections go to `to`; open ones stay with `from` */
  'handed-over': HandedOverData;
  /** of the new enclave: the ports still lead to `from` */
  'handover-failed': HandoverFailedData;
  /** of the new enclave, after `handed-over`: `from` has no open connection any more */
  drained: DrainedData;
  /** no log line will follow; `lost` counts those that were dropped */
  'log-ended': LogEndedData;
}
