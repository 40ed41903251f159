import * as z from 'zod';
import {
  connectionLimitsSchema,
  enclaveNameSchema,
  enclaveRecordSchema,
  measurementsSchema,
  publishedPortSchema,
  restartPolicySchema,
} from './enclave.ts';

/**
 * Requests that a service answers, `enclaver.v1.<service>.<operation>`. Paths are on the machine of the service. `long` ones
 * move images: they are waited for as long as the service lives.
 */

const imageSchema = z.object({
  /** `sha256:…` of the image's configuration. */
  id: z.string(),
  name: z.string().optional(),
  /** `repository@sha256:…`, where the source knows one. */
  repoDigest: z.string().optional(),
});

const platformSchema = z.enum(['linux/amd64', 'linux/arm64']);

const buildId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);

const graceMs = z.number().int().min(0).max(3_600_000);

const startTimeoutMs = z.number().int().min(1).max(86_400_000);

interface Operation {
  /** For the documents that are made from this. */
  means: string;
  long?: boolean;
  request: z.ZodType;
  response: z.ZodType;
}

export const operations = {
  builder: {
    build: {
      means: 'builds a manifest into an EIF and, unless `eifOnly`, a release image; its progress comes while it runs',
      long: true,
      request: z.object({
        buildId,
        /** The manifest's bytes: they go into the image as they are. */
        manifest: z.string().max(1024 * 1024),
        /** Name of the manifest in error messages. */
        manifestFile: z.string(),
        /** Absolute folder that relative paths of the manifest start from. */
        contextDir: z.string().startsWith('/'),
        pull: z.boolean().optional(),
        /** Image in place of the manifest's `sources.app`. */
        from: z.string().max(4096).optional(),
        platform: platformSchema.optional(),
        /** Absolute path for the EIF; no release image is made then. */
        eifOnly: z.string().startsWith('/').optional(),
        /** Push the release image to the registry of its name. */
        push: z.boolean().optional(),
        /** Build a second time under other conditions and compare. */
        check: z.boolean().optional(),
        /** Attach an in-toto statement of SLSA provenance, a CycloneDX SBOM. */
        provenance: z.boolean().optional(),
        sbom: z.boolean().optional(),
        /** Absolute path of a cosign key, or a key of a KMS as cosign names it: sign the image and what is said of it. */
        signKey: z.string().max(4096).optional(),
      }),
      response: z.object({
        eif: z.object({ path: z.string(), size: z.number(), sha256: z.string() }),
        platform: platformSchema,
        measurements: measurementsSchema,
        sources: z.object({
          /** `layers`: digests of the plain layers, lowest first. */
          app: imageSchema.extend({ layers: z.array(z.string()) }),
          /** What the release image stands on. */
          base: imageSchema.optional(),
        }),
        /** Versions of what is inside every image. */
        tools: z.object({
          enclaver: z.string(),
          kernel: z.string(),
          node: z.string(),
          /** What compiled the parts that are compiled, each as it names itself. */
          toolchain: z.array(z.string()),
        }),
        /** A second build under other conditions gave the same file. */
        checked: z.boolean().optional(),
        /** What says something of the EIF: files beside it, or what was attached to the pushed image. */
        documents: z.array(z.string()).optional(),
        /** The release image, where one was made; `repoDigest` where it was pushed. */
        image: imageSchema
          .extend({
            /** Of its manifest, which is the same in every registry. */
            digest: z.string(),
            layers: z.array(z.object({ digest: z.string(), size: z.number() })),
          })
          .optional(),
      }),
    },
    cancel: {
      means: 'ends a build, whose request is then answered with `BUILD_CANCELLED`',
      request: z.object({ buildId }),
      /** False where no such build runs or waits. */
      response: z.object({ cancelled: z.boolean() }),
    },
    extract: {
      means: 'takes `/enclave/application.eif` out of a release image, of an engine or of a registry',
      long: true,
      request: z.object({ image: z.string(), platform: platformSchema.optional() }),
      response: z.object({
        eif: z.string(),
        sha256: z.string(),
        /** Of the EIF's bytes. */
        measurements: measurementsSchema,
        image: imageSchema,
      }),
    },
    verifyBuild: {
      means: "builds a release image's EIF again from what it records, and compares",
      long: true,
      request: z.object({
        buildId,
        image: z.string(),
        /** Where the app's image is now, if not where it was. */
        from: z.string().max(4096).optional(),
        /** Absolute folder that a relative `from` starts from, and the signing certificate of the manifest. */
        contextDir: z.string().startsWith('/'),
      }),
      response: z.object({
        identical: z.boolean(),
        recorded: z.object({ sha256: z.string(), measurements: measurementsSchema, enclaver: z.string().optional() }),
        rebuilt: z.object({ sha256: z.string(), measurements: measurementsSchema, enclaver: z.string() }),
        /** What differs, for people; a line each. */
        differences: z.array(z.string()),
      }),
    },
  },
  supervisor: {
    run: {
      means: 'accepts an enclave and starts it; what becomes of it is told by its events',
      long: true,
      request: z.object({
        eif: z.string().startsWith('/'),
        /** Default: the manifest's name. */
        name: enclaveNameSchema.optional(),
        /** Default: each ingress port of the manifest on 127.0.0.1 under its own number. */
        publish: z.array(publishedPortSchema).optional(),
        /** Listen on 0.0.0.0 where `publish` says nothing: a container's own network decides who gets in. */
        publishAll: z.boolean().optional(),
        /** Of the parent's own; what is left out has the outer-proxy's default. */
        limits: connectionLimitsSchema.optional(),
        cpuCount: z.number().int().min(1).optional(),
        memoryMb: z.number().int().min(64).optional(),
        debug: z.boolean().optional(),
        /** Start nothing unless the bytes measure so; registers that are left out may have any value. */
        expect: measurementsSchema.partial().optional(),
        /** Default: `no`. */
        restart: restartPolicySchema.optional(),
        /** From the request to `ready`; default: as long as it takes. */
        startTimeoutMs: startTimeoutMs.optional(),
      }),
      response: z.object({ enclave: enclaveRecordSchema }),
    },
    update: {
      means:
        'accepts a new enclave that shall take the name and ports of a running one once it is `ready`; only then the old one is ' +
        'stopped. Its events tell how it goes; when it fails the old one goes on untouched',
      long: true,
      request: z.object({
        /** Id or name of the running enclave. */
        id: z.string(),
        eif: z.string().startsWith('/'),
        /** Defaults: those of the running enclave. */
        cpuCount: z.number().int().min(1).optional(),
        memoryMb: z.number().int().min(64).optional(),
        expect: measurementsSchema.partial().optional(),
        /** Default: five minutes. */
        startTimeoutMs: startTimeoutMs.optional(),
        /** For the old enclave: its connections may go on for so long, and then its app has so long to end. */
        drainMs: graceMs.optional(),
        graceMs: graceMs.optional(),
      }),
      response: z.object({ enclave: enclaveRecordSchema, replaces: enclaveRecordSchema }),
    },
    stop: {
      means:
        'stops an enclave: the stop signal of its image to the app, SIGKILL after the grace time, then the machine; answers once that has begun, and cancels a restart that is to come',
      request: z.object({ id: z.string(), graceMs: graceMs.optional() }),
      response: z.object({ enclave: enclaveRecordSchema }),
    },
    list: {
      means: 'the enclaves that run; with `all`, those that ended, too',
      request: z.object({ all: z.boolean().optional() }),
      response: z.object({ enclaves: z.array(enclaveRecordSchema) }),
    },
    describe: {
      means: 'one enclave, by its id or a unique name',
      request: z.object({ id: z.string() }),
      response: z.object({ enclave: enclaveRecordSchema }),
    },
  },
} as const satisfies Record<string, Record<string, Operation>>;

export const buildProgressSchema = z.object({
  stage: z.enum(['resolve', 'pull', 'flatten', 'assemble', 'package', 'push', 'attach', 'check']),
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
