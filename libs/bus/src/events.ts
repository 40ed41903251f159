import * as z from 'zod';
import { errorDataSchema } from './bus-error.ts';
import {
  bootTimingsSchema,
  enclaveRecordSchema,
  enclaveResultSchema,
  plannedRestartSchema,
  publishedPortSchema,
} from './enclave.ts';

/** Ports that go from one enclave to another by an update. */
const handoverSchema = z.object({
  from: z.string(),
  to: z.string(),
  ingress: z.array(publishedPortSchema),
});

/**
 * Lifecycle events, `enclaver.v1.enclave.<id>.<event>`. `enclaveEventSources` says who publishes which.
 */
export const enclaveEventSchemas = {
  /** Accepted; the outer-proxy now opens its listeners, and nothing starts before it says `egress-ready`. */
  requested: z.object({ enclave: enclaveRecordSchema }),
  /** The listeners are open, at these addresses. */
  'egress-ready': z.object({ ingress: z.array(publishedPortSchema) }),
  /** A listener could not be opened; the enclave will not start. */
  'proxy-failed': z.object({ error: errorDataSchema }),
  /** The enclave's machine is being started. */
  launching: z.object({ enclave: enclaveRecordSchema }),
  /** Kernel and init are up: the boot heartbeat arrived. */
  booting: z.object({}),
  /** odyn is up and starts its parts and the app. */
  starting: z.object({ timings: bootTimingsSchema.optional() }),
  /** The app runs and accepts on every ingress port; where the manifest has a health check, it has passed. */
  ready: z.object({ timings: bootTimingsSchema.optional(), ingress: z.array(publishedPortSchema) }),
  /** The app has failed its health check too often; `ready` comes again when it passes. */
  unhealthy: z.object({ reason: z.string() }),
  /** A stop was asked for; the app has this long before it is killed. */
  stopping: z.object({ graceMs: z.number().int().min(0) }),
  /** The app ended by itself or by a stop. */
  exited: z.object({ result: enclaveResultSchema, restart: plannedRestartSchema.optional() }),
  /** The enclave never got to run the app, or its inside reported a fatal error. */
  failed: z.object({
    result: enclaveResultSchema,
    console: z.array(z.string()),
    restart: plannedRestartSchema.optional(),
  }),
  /** The machine died under the app. */
  lost: z.object({
    result: enclaveResultSchema,
    console: z.array(z.string()),
    restart: plannedRestartSchema.optional(),
  }),
  /** Told of the enclave that ended: the restart that its end announced will not come, since somebody stopped it. */
  'restart-cancelled': z.object({ restart: plannedRestartSchema }),
  /**
   * Told of the new enclave of an update (`to`) once it is ready. From now on each of these ports shall lead to it: retargeted
   * where the listener of `from` is open, opened anew where not. May come again, and asks for the same then.
   */
  handover: handoverSchema,
  /** Told of the new enclave: new connections to these ports go to it, those that were open stay with `from`. */
  'handed-over': handoverSchema,
  /** Told of the new enclave: the ports are still those of `from`. */
  'handover-failed': z.object({ from: z.string(), to: z.string(), error: errorDataSchema }),
  /** Told of the new enclave, after `handed-over`: `from` has no open connection any more. */
  drained: z.object({ from: z.string(), to: z.string() }),
  /** All log lines of this enclave have been published; `lost` counts those that were dropped inside or here. */
  'log-ended': z.object({ lines: z.number().int().min(0), lost: z.number().int().min(0) }),
} as const;

export type EnclaveEventName = keyof typeof enclaveEventSchemas;
export const enclaveEventNames = Object.keys(enclaveEventSchemas) as EnclaveEventName[];

/** The one service that publishes an event: the server lets no other do so (`permissions.ts`). */
export const enclaveEventSources: Readonly<Record<EnclaveEventName, 'supervisor' | 'outer-proxy' | 'log-relay'>> = {
  requested: 'supervisor',
  'egress-ready': 'outer-proxy',
  'proxy-failed': 'outer-proxy',
  launching: 'supervisor',
  booting: 'supervisor',
  starting: 'supervisor',
  ready: 'supervisor',
  unhealthy: 'supervisor',
  stopping: 'supervisor',
  exited: 'supervisor',
  failed: 'supervisor',
  lost: 'supervisor',
  'restart-cancelled': 'supervisor',
  handover: 'supervisor',
  'handed-over': 'outer-proxy',
  'handover-failed': 'outer-proxy',
  drained: 'outer-proxy',
  'log-ended': 'log-relay',
};

export type EnclaveEventData<N extends EnclaveEventName> = z.infer<(typeof enclaveEventSchemas)[N]>;

/** One event as a subscriber gets it; narrow on `name`. */
export type EnclaveEvent = {
  [N in EnclaveEventName]: { id: string; name: N; time: string; source: string; data: EnclaveEventData<N> };
}[EnclaveEventName];

export function isEnclaveEventName(name: string): name is EnclaveEventName {
  return Object.hasOwn(enclaveEventSchemas, name);
}
