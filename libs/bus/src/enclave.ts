import * as z from 'zod';
import { errorDataSchema } from './bus-error.ts';
import { httpRouteSchema } from './http-route.ts';
import { limits } from './limits.ts';

/**
 * What is known of one enclave: the value of its key in the KV bucket, and the answer of `supervisor.describe`.
 * Only the supervisor writes it; every other part reads it to find its way after a restart.
 */

export const enclaveStates = [
  'requested',
  'launching',
  'booting',
  'starting',
  'ready',
  'unhealthy',
  'stopping',
  'exited',
  'failed',
  'lost',
] as const;

/** Where an enclave's vsock is found on this host: the kernel's, by CID, or a Unix socket in the Firecracker style. */
export const vsockAddressSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('vsock'), cid: z.number().int().min(4) }),
  z.object({ type: z.literal('unix'), path: z.string() }),
]);

export const measurementsSchema = z.object({
  PCR0: z.string().regex(/^[0-9a-f]{96}$/),
  PCR1: z.string().regex(/^[0-9a-f]{96}$/),
  PCR2: z.string().regex(/^[0-9a-f]{96}$/),
  PCR8: z
    .string()
    .regex(/^[0-9a-f]{96}$/)
    .optional(),
});

/** An address outside that leads to a port inside: TCP, or a Unix socket. */
export const publishedPortSchema = z.object({
  /** Port inside the enclave: an `ingress[].listen_port` of the manifest. */
  listenPort: z.number().int().min(1).max(65535),
  /** IP address to listen on. */
  host: z.union([z.ipv4(), z.ipv6()]),
  /** TCP port to listen on; 0 asks the system for a free one. */
  port: z.number().int().min(0).max(65535),
  /** Unix socket to listen at; `host` and `port` then mean nothing. */
  path: z.string().startsWith('/').max(107).optional(),
  /** The enclave is told who connects: the supervisor says so of the ports whose manifest needs it. */
  reportPeer: z.boolean().optional(),
  /** `http`: the listener is shared, and `route` says which requests are this enclave's. Default: `tcp`, every connection. */
  protocol: z.enum(['tcp', 'http']).optional(),
  route: httpRouteSchema.optional(),
});

/** Where it is listened at, for people: `address:port` or the path. */
export function placeOf({ host, port, path }: z.infer<typeof publishedPortSchema>): string {
  return path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Bounds that the parent sets for the connections of an enclave; what is left out has the outer-proxy's default. */
export const connectionLimitsSchema = z.strictObject({
  /** Open at a time, of all published ports together; of egress. */
  ingressConnections: z.number().int().min(1).max(1_000_000).optional(),
  egressConnections: z.number().int().min(1).max(1_000_000).optional(),
  /** New ones in a second, so many at once as well. */
  ingressPerSecond: z.number().int().min(1).max(1_000_000).optional(),
  egressPerSecond: z.number().int().min(1).max(1_000_000).optional(),
  /** Both directions together. */
  ingressBytesPerSecond: z.number().int().min(1024).max(1e12).optional(),
  egressBytesPerSecond: z.number().int().min(1024).max(1e12).optional(),
});

/** Why the app ended as it did, where that is known: a word for programs, and a text for people. */
const cause = { cause: z.string().optional(), detail: z.string().optional() };

/** How an enclave ended. */
export const enclaveResultSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('exited'), code: z.number().int(), ...cause }),
  z.object({ kind: z.literal('signaled'), signal: z.string(), ...cause }),
  z.object({ kind: z.literal('fatal'), error: z.string() }),
  z.object({ kind: z.literal('failed'), error: errorDataSchema }),
  z.object({ kind: z.literal('lost'), error: errorDataSchema }),
]);

/** Milliseconds since the guest's kernel clock started, at each step of the boot; see `@enclaver/wire`. */
export const bootTimingsSchema = z.object({
  initMs: z.number(),
  odynMs: z.number(),
  startingMs: z.number(),
  readyMs: z.number().optional(),
});

/** When an enclave that ended is followed by a new one of its name: `max` bounds the restarts in a row of `on-failure`. */
export const restartPolicySchema = z.discriminatedUnion('policy', [
  z.object({ policy: z.literal('no') }),
  z.object({ policy: z.literal('on-failure'), max: z.number().int().min(1).max(1_000_000).optional() }),
  z.object({ policy: z.literal('always') }),
]);

/**
 * The restart that follows an end: the id of the enclave to come, the pause before it, which restart of its name it is, and which in
 * a row without an enclave that was well for a while: the pause grows with that, and `max` of the policy bounds it.
 */
export const plannedRestartSchema = z.object({
  id: z.string().regex(/^e-[0-9a-f]{12}$/),
  afterMs: z.number().int().min(0),
  restarts: z.number().int().min(1),
  streak: z.number().int().min(1),
});

/** Of a request, as the manifest has it (`libs/manifest`): it stands in lists and lines. */
export const enclaveNameSchema = z
  .string()
  .min(1)
  .max(limits.enclaveName)
  .regex(/^\P{Cc}*$/u);

export const enclaveRecordSchema = z.object({
  id: z.string().regex(/^e-[0-9a-f]{12}$/),
  name: z.string(),
  state: z.enum(enclaveStates),
  backend: z.enum(['qemu', 'nitro']),
  eif: z.string(),
  measurements: measurementsSchema,
  cpuCount: z.number().int().min(1),
  memoryMb: z.number().int().min(64),
  debug: z.boolean(),
  vsock: vsockAddressSchema,
  /** Unix socket of the serial console, where the backend has one. */
  console: z.string().optional(),
  ingress: z.array(publishedPortSchema),
  egress: z.boolean(),
  limits: connectionLimitsSchema.optional(),
  /** Whose sealed values the enclave may keep outside, where its manifest needs some kept. */
  storeOwner: z.string().optional(),
  /** Process that is the enclave, on backends where there is one. */
  pid: z.number().int().optional(),
  timings: bootTimingsSchema.optional(),
  /** How the clock inside is, in words: its source, and how it stands to the NSM. */
  clock: z.string().optional(),
  /** What the inside says of itself, where its manifest lets it (`metrics`): figures by the names of `libs/wire`. Nobody vouches for them. */
  figures: z.record(z.string(), z.number()).optional(),
  /** Why the enclave is unhealthy, while it is. */
  reason: z.string().optional(),
  result: enclaveResultSchema.optional(),
  /** An enclave lives once: a restart is a new enclave of the same name and image. Absent: `no`. */
  restart: restartPolicySchema.optional(),
  /** How many enclaves of this name went before it by restarts, and which was the last. */
  restarts: z.number().int().min(0).optional(),
  previous: z.string().optional(),
  /** `restarts`, as far as they came in a row: see `next`. */
  streak: z.number().int().min(0).optional(),
  /** Of an enclave that has ended: what follows it, until that is there or somebody stops it. */
  next: plannedRestartSchema.optional(),
  /** The enclave that this one was started to replace, by an update. */
  replaces: z.string().optional(),
  /**
   * While the published ports are still those of this other enclave, `ingress` is empty and nothing may be opened. The write of
   * the record that drops `takesOver` and fills `ingress` moves the ports: from then on an enclave in `replaces` has none.
   */
  takesOver: z.string().optional(),
  /** What is still to be done for an update: the ports to move here, and how the enclave in `replaces` ends then. */
  update: z
    .object({
      ingress: z.array(publishedPortSchema),
      drainMs: z.number().int().min(0),
      graceMs: z.number().int().min(0),
    })
    .optional(),
  /** Milliseconds from the request to `ready`, after which the enclave has failed. */
  startTimeoutMs: z.number().int().min(1).optional(),
  /** ISO 8601 times at which each state was entered. */
  times: z.partialRecord(z.enum(enclaveStates), z.string()),
});

export type EnclaveState = (typeof enclaveStates)[number];
export type VsockAddress = z.infer<typeof vsockAddressSchema>;
export type PublishedPort = z.infer<typeof publishedPortSchema>;
export type ConnectionLimits = z.infer<typeof connectionLimitsSchema>;
export type RestartPolicy = z.infer<typeof restartPolicySchema>;
export type PlannedRestart = z.infer<typeof plannedRestartSchema>;
export type EnclaveResult = z.infer<typeof enclaveResultSchema>;
export type EnclaveRecord = z.infer<typeof enclaveRecordSchema>;
export type Measurements = z.infer<typeof measurementsSchema>;

/** The states that nothing follows. */
export function hasEnded(state: EnclaveState): state is 'exited' | 'failed' | 'lost' {
  return state === 'exited' || state === 'failed' || state === 'lost';
}

/** Runs, or ended and is to be started again: what the supervisor lists unless it is asked for all. */
export function isPresent({ state, next }: EnclaveRecord): boolean {
  return !hasEnded(state) || next !== undefined;
}
