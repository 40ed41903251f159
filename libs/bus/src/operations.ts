import * as z from 'zod';
import { enclaveRecordSchema, measurementsSchema, publishedPortSchema } from './enclave.ts';

/** Requests that a service answers, `enclaver.v1.<service>.<operation>`. Paths are on the machine of the service. */

const imageSchema = z.object({
  /** `sha256:…` of the image's configuration. */
  id: z.string(),
  name: z.string().optional(),
  /** `repository@sha256:…`, where the source knows one. */
  repoDigest: z.string().optional(),
});

export const operations = {
  builder: {
    /** Builds a manifest into an EIF and, unless `eifOnly`, a release image. Progress comes on `enclaver.v1.build.<buildId>.progress`. */
    build: {
      request: z.object({
        buildId: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
        /** The manifest's bytes: they go into the image as they are. */
        manifest: z.string().max(1024 * 1024),
        /** Name of the manifest in error messages. */
        manifestFile: z.string(),
        /** Absolute folder that relative paths of the manifest start from. */
        contextDir: z.string().startsWith('/'),
        pull: z.boolean().optional(),
        /** Absolute path for the EIF; no release image is made then. */
        eifOnly: z.string().startsWith('/').optional(),
      }),
      response: z.object({
        eif: z.object({ path: z.string(), size: z.number(), sha256: z.string() }),
        measurements: measurementsSchema,
        sources: z.object({ app: imageSchema }),
        /** The release image, where one was made. */
        image: imageSchema.optional(),
      }),
    },
    /** Takes `/enclave/application.eif` out of a release image. */
    extract: {
      request: z.object({ image: z.string() }),
      response: z.object({ eif: z.string() }),
    },
  },
  supervisor: {
    /** Accepts an enclave and starts it; what becomes of it is told by its events. */
    run: {
      request: z.object({
        eif: z.string().startsWith('/'),
        /** Default: the manifest's name. */
        name: z.string().optional(),
        /** Default: each ingress port of the manifest on 127.0.0.1 under its own number. */
        publish: z.array(publishedPortSchema).optional(),
        /** Listen on 0.0.0.0 where `publish` says nothing: a container's own network decides who gets in. */
        publishAll: z.boolean().optional(),
        cpuCount: z.number().int().min(1).optional(),
        memoryMb: z.number().int().min(64).optional(),
        debug: z.boolean().optional(),
      }),
      response: z.object({ enclave: enclaveRecordSchema }),
    },
    /** Stops an enclave: SIGTERM to the app, SIGKILL after the grace time, then the machine. Answers once that has begun. */
    stop: {
      request: z.object({ id: z.string(), graceMs: z.number().int().min(0).max(3_600_000).optional() }),
      response: z.object({ enclave: enclaveRecordSchema }),
    },
    list: {
      request: z.object({ all: z.boolean().optional() }),
      response: z.object({ enclaves: z.array(enclaveRecordSchema) }),
    },
    /** `id` may be the id or a unique name. */
    describe: {
      request: z.object({ id: z.string() }),
      response: z.object({ enclave: enclaveRecordSchema }),
    },
  },
} as const;

export const buildProgressSchema = z.object({
  stage: z.enum(['resolve', 'pull', 'flatten', 'assemble', 'package']),
  /** What is being worked on, for people. */
  text: z.string().optional(),
  /** Bytes done and to do, where they are known. */
  done: z.number().optional(),
  total: z.number().optional(),
});

type Operations = typeof operations;
export type ServiceName = keyof Operations;
export type OperationName<S extends ServiceName> = keyof Operations[S] & string;
type Schemas<S extends ServiceName, O extends OperationName<S>> = Operations[S][O] & {
  request: z.ZodType;
  response: z.ZodType;
};
export type OperationRequest<S extends ServiceName, O extends OperationName<S>> = z.infer<Schemas<S, O>['request']>;
export type OperationResponse<S extends ServiceName, O extends OperationName<S>> = z.infer<Schemas<S, O>['response']>;
export type BuildProgress = z.infer<typeof buildProgressSchema>;
