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
 * Lifecycle events, `enclaver.v1.enclave.<id>.<event>`: what each means, and what its `data` is. `enclaveEventSources` says
 * who publishes which.
 */
export const enclaveEventSchemas = {
  requested: z
    .object({ enclave: enclaveRecordSchema })
    .describe('accepted; the outer-proxy opens its listeners, and nothing starts before `egress-ready`'),
  'egress-ready': z
    .object({ ingress: z.array(publishedPortSchema) })
    .describe('the listeners are open, at these addresses'),
  'proxy-failed': z.object({ error: errorDataSchema }).describe('a listener could not be opened; `failed` follows'),
  launching: z.object({ enclave: enclaveRecordSchema }).describe('the machine is being started'),
  booting: z.object({}).describe('kernel and init are up'),
  starting: z.object({ timings: bootTimingsSchema.optional() }).describe('odyn is up and starts the app'),
  ready: z
    .object({ timings: bootTimingsSchema.optional(), ingress: z.array(publishedPortSchema) })
    .describe('the app listens on every ingress port; with `health`, a check has passed; again after `unhealthy`'),
  unhealthy: z
    .object({ reason: z.string() })
    .describe('the app failed its health check as often as `health.retries` says; `enclaver ps` shows the reason'),
  stopping: z
    .object({ graceMs: z.number().int().min(0) })
    .describe('a stop was asked for; the app has this long before it is killed'),
  exited: z.object({ result: enclaveResultSchema, restart: plannedRestartSchema.optional() }).describe('the app ended'),
  failed: z
    .object({
      result: enclaveResultSchema,
      console: z.array(z.string()),
      restart: plannedRestartSchema.optional(),
    })
    .describe('the app never ran'),
  lost: z
    .object({
      result: enclaveResultSchema,
      console: z.array(z.string()),
      restart: plannedRestartSchema.optional(),
    })
    .describe('the machine died under the app'),
  'restart-cancelled': z
    .object({ restart: plannedRestartSchema })
    .describe('of the enclave that ended: the restart that its end announced will not come, since somebody stopped it'),
  handover: handoverSchema.describe(
    'of the new enclave of an update, once it is ready: the ports of `from` shall lead to `to` now; may come again, and asks for the same then',
  ),
  'handed-over': handoverSchema.describe('of the new enclave: new connections go to `to`; open ones stay with `from`'),
  'handover-failed': z
    .object({ from: z.string(), to: z.string(), error: errorDataSchema })
    .describe('of the new enclave: the ports still lead to `from`'),
  drained: z
    .object({ from: z.string(), to: z.string() })
    .describe('of the new enclave, after `handed-over`: `from` has no open connection any more'),
  'log-ended': z
    .object({ lines: z.number().int().min(0), lost: z.number().int().min(0) })
    .describe('no log line will follow; `lost` counts those that were dropped'),
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
  [N in EnclaveEventName]: {
    id: string;
    name: N;
    time: string;
    source: string;
    data: EnclaveEventData<N>;
    /** What its sender worked in, where it traces. */
    traceparent?: string;
  };
}[EnclaveEventName];

/** The `type` of its CloudEvents. */
export function enclaveEventType(name: string): string {
  return `enclaver.v1.enclave.${name}`;
}

export function isEnclaveEventName(name: string): name is EnclaveEventName {
  return Object.hasOwn(enclaveEventSchemas, name);
}
