import * as z from 'zod';
import { MAX_NAME_LENGTH } from '../limits.ts';
import { type Api, api, normaliseApi } from './api.ts';
import { type Clock, clock, normaliseClock } from './clock.ts';
import { type Defaults, defaults, normaliseDefaults } from './defaults.ts';
import { type Egress, egress, normaliseEgress } from './egress.ts';
import { type Health, health, normaliseHealth } from './health.ts';
import { type IngressPort, ingress, normaliseIngress } from './ingress.ts';
import { type KmsProxy, kmsProxy, normaliseKmsProxy } from './kms-proxy.ts';
import { type Limits, limits, normaliseLimits } from './limits.ts';
import { type Signature, signature } from './signature.ts';
import { normaliseSources, type Sources, sources, target } from './sources.ts';
import { normaliseSpire, type Spire, spire } from './spire.ts';

/**
 * The one source of what `enclaver.yaml` v1 may hold: the parser, the JSON Schema and the table in docs/manifest.md
 * come from it.
 */
export const manifestSchema = z
  .strictObject({
    version: z.literal('v1').meta({ description: 'Version of the format.', allowed: '"v1"' }),
    name: z
      .string()
      .min(1)
      .max(MAX_NAME_LENGTH)
      .regex(/^\P{Cc}*$/u)
      .meta({
        description: 'What the enclave is called in logs and lists.',
        allowed: `1 to ${MAX_NAME_LENGTH} characters, none of them a control character`,
      }),
    target,
    sources,
    signature: signature.nullish(),
    ingress: ingress.nullish(),
    egress: egress.nullish(),
    health: health.nullish(),
    clock: clock.nullish(),
    metrics: z
      .boolean()
      .meta({
        description:
          'Tells the parent twice a minute how many connections, refusals and KMS calls there were and how much memory is free: figures alone, no names.',
        allowed: 'true or false',
        default: false,
      })
      .nullish(),
    privileged: z
      .boolean()
      .meta({
        description:
          'Leaves the application all that root may, and vsock sockets of its own. It can then go past `egress`.',
        allowed: 'true or false',
        default: false,
      })
      .nullish(),
    limits: limits.nullish(),
    defaults: defaults.nullish(),
    kms_proxy: kmsProxy.nullish(),
    api: api.nullish(),
    spire: spire.nullish(),
  })
  .meta({ title: 'enclaver.yaml', description: 'What an enclave is made of and what it may do.', allowed: 'a map' });

/** `enclaver.yaml` v1 with defaults applied. Keys are in camelCase; it can be sent as JSON. */
export interface Manifest {
  version: 'v1';
  name: string;
  target: string;
  sources: Sources;
  signature?: Signature;
  ingress: IngressPort[];
  egress?: Egress;
  health?: Health;
  clock?: Clock;
  /** Figures of the inside go to the parent. */
  metrics?: true;
  /** The app is not confined, and the egress policy is no barrier to it. */
  privileged?: true;
  limits: Limits;
  defaults: Defaults;
  kmsProxy?: KmsProxy;
  api?: Api;
  spire?: Spire;
}

export function normalise(raw: z.output<typeof manifestSchema>): Manifest {
  return {
    version: raw.version,
    name: raw.name,
    target: raw.target,
    sources: normaliseSources(raw.sources),
    ...(raw.signature ? { signature: raw.signature } : {}),
    ingress: (raw.ingress ?? []).map(normaliseIngress),
    ...(raw.egress ? { egress: normaliseEgress(raw.egress) } : {}),
    ...(raw.clock ? { clock: normaliseClock(raw.clock) } : {}),
    ...(raw.metrics ? { metrics: true } : {}),
    ...(raw.health ? { health: normaliseHealth(raw.health) } : {}),
    ...(raw.privileged ? { privileged: true } : {}),
    limits: normaliseLimits(raw.limits),
    defaults: normaliseDefaults(raw.defaults),
    ...(raw.kms_proxy ? { kmsProxy: normaliseKmsProxy(raw.kms_proxy) } : {}),
    ...(raw.api ? { api: normaliseApi(raw.api) } : {}),
    ...(raw.spire ? { spire: normaliseSpire(raw.spire) } : {}),
  };
}
