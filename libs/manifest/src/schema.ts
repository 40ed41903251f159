import { z } from 'zod';
import { EGRESS_PATTERN_ALLOWED, EgressPatternError, parseEgressPattern } from './egress-pattern.ts';
import { ImageSourceError, parseImageReference, parseImageSource } from './image-source.ts';
import { MAX_INT32, MAX_NAME_LENGTH, MIN_MEMORY_MB } from './limits.ts';

/**
 * The one source of what `enclaver.yaml` v1 may hold: the parser, the JSON Schema and the table in docs/manifest.md
 * come from it. `description` says what a key is for, `allowed` what it may hold, `default` what stands for it when
 * it is missing. A null counts as missing, as it does upstream.
 */
declare module 'zod' {
  interface GlobalMeta {
    allowed?: string;
  }
}

export const DEFAULT_CPU_COUNT = 2;
export const DEFAULT_MEMORY_MB = 4096;
export const DEFAULT_PROXY_PORT = 10000;
const DEFAULT_WORKLOAD_API_ADDR = '127.0.0.1:5000';

const text = (description: string, allowed: string) =>
  z
    .string()
    .min(1)
    .refine((value) => !value.includes('\0'), { message: 'it holds a NUL' })
    .meta({ description, allowed });

/** A string that a parser of ours accepts; the parser's own words become the problem. */
const parsed = (parse: (value: string) => unknown, error: new () => Error, description: string, allowed: string) =>
  z
    .string()
    .superRefine((value, context) => {
      try {
        parse(value);
      } catch (cause) {
        if (!(cause instanceof error)) throw cause;
        context.addIssue({ code: 'custom', message: cause.message });
      }
    })
    .meta({ description, allowed });

const matching = (pattern: RegExp, description: string, allowed: string) =>
  z.string().regex(pattern).meta({ description, allowed });

const port = (description: string) =>
  z.int().min(1).max(65535).meta({ description, allowed: 'a port number, 1 to 65535' });

const REFERENCE = '[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]';
const reference = (description: string) =>
  parsed(parseImageReference, ImageSourceError, description, `an image reference, ${REFERENCE}`);

const target = (value: string): void => {
  if (parseImageReference(value).digest !== undefined) {
    throw new ImageSourceError('it names a digest; an image that is still to be built can only be given a tag');
  }
};

const pattern = parsed(parseEgressPattern, EgressPatternError, 'One destination.', EGRESS_PATTERN_ALLOWED);
const patterns = (description: string) =>
  z.array(pattern).meta({ description, allowed: 'a list of patterns', default: [] });

const HOST = '(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*';
const PORT = '(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';

const sources = z
  .strictObject({
    app: parsed(
      parseImageSource,
      ImageSourceError,
      'The image of the application.',
      `an image reference (${REFERENCE}), docker-archive:PATH, oci-archive:PATH[:REFERENCE] or oci:PATH[:REFERENCE]`,
    ),
    odyn: reference('Image that the enclave runtime is taken from. Without it, the runtime of this release.').nullish(),
    supervisor: reference('The name of `odyn` up to version 0.6.0. Only one of the two may be given.').nullish(),
    sleeve: reference('Base of the release image. Without it, the one of this release.').nullish(),
    wrapper: reference('The name of `sleeve` up to version 0.6.0. Only one of the two may be given.').nullish(),
  })
  .meta({
    description: 'Images to build from.',
    allowed: 'a map',
    allOf: [{ not: { required: ['odyn', 'supervisor'] } }, { not: { required: ['sleeve', 'wrapper'] } }],
  });

const signature = z
  .strictObject({
    certificate: text('Certificate in PEM form.', 'a path, relative to the folder of the manifest'),
    key: text(
      'Private key in PEM form on P-256, P-384 or P-521, or such a key in AWS KMS.',
      'a path, relative to the folder of the manifest, or arn:PARTITION:kms:REGION:ACCOUNT:key/ID',
    ),
  })
  .meta({ description: 'Signs the image; its certificate is measured as PCR8.', allowed: 'a map' });

const tls = z
  .strictObject({
    key_file: text(
      'Private key in PEM form. Where the image has no such file: `/etc/enclaver/tls/server/<port>/key.pem`.',
      'a path in the image',
    ),
    cert_file: text(
      "Certificate chain in PEM form, the server's first. Where the image has no such file: `/etc/enclaver/tls/server/<port>/cert.pem`.",
      'a path in the image',
    ),
    client_ca_file: text(
      'Certificate authorities of the clients, in PEM form: who has no certificate of theirs is refused. Without it, nobody is asked for one.',
      'a path in the image',
    ).nullish(),
    alpn: z
      .array(
        z
          .string()
          .min(1)
          .max(255)
          .regex(/^[\x21-\x7e]*$/)
          .meta({ description: 'One protocol.', allowed: 'a protocol id of ALPN, such as h2' }),
      )
      .meta({
        description:
          'Protocols that the application speaks, the preferred one first; clients that offer others only are refused.',
        allowed: 'a list',
        default: [],
      })
      .nullish(),
  })
  .meta({ description: 'Ends TLS inside the enclave; without it the port carries plain TCP.', allowed: 'a map' });

const ingress = z
  .array(
    z
      .strictObject({
        listen_port: port(
          'TCP port on the parent instance, vsock port of the enclave, and TCP port the application listens on.',
        ),
        tls: tls.nullish(),
      })
      .meta({ description: 'One port.', allowed: 'a map' }),
  )
  .meta({ description: 'Ports that reach the application.', allowed: 'a list', default: [] });

const egress = z
  .strictObject({
    proxy_port: port('TCP port of the HTTP proxy inside the enclave.').meta({ default: DEFAULT_PROXY_PORT }).nullish(),
    allow: patterns('Destinations that may be reached. None without it.').nullish(),
    deny: patterns('Destinations that may not be reached although `allow` has them.').nullish(),
  })
  .meta({ description: 'What the application may reach. Without it, nothing.', allowed: 'a map' });

const defaults = z
  .strictObject({
    cpu_count: z
      .int()
      .min(1)
      .max(MAX_INT32)
      .meta({
        description: 'Number of vCPUs.',
        allowed: 'a whole number of at least 1',
        default: DEFAULT_CPU_COUNT,
      })
      .nullish(),
    memory_mb: z
      .int()
      .min(MIN_MEMORY_MB)
      .max(MAX_INT32)
      .meta({
        description: 'Memory in MiB.',
        allowed: `a whole number of at least ${MIN_MEMORY_MB}`,
        default: DEFAULT_MEMORY_MB,
      })
      .nullish(),
  })
  .meta({ description: 'What `run` uses unless told otherwise.', allowed: 'a map' });

const kmsProxy = z
  .strictObject({
    listen_port: port('TCP port of the KMS proxy inside the enclave.'),
    endpoints: z
      .record(
        matching(/^[a-z]+(?:-[a-z0-9]+)+$/, 'Name of a region.', 'the name of a region, such as us-east-1'),
        matching(
          new RegExp(`^${HOST}(?::${PORT})?$`),
          'Its KMS endpoint.',
          'HOST or HOST:PORT, without a scheme or path',
        ),
      )
      .meta({
        description: 'KMS endpoint by region. For a region not listed: `kms.<region>.amazonaws.com`.',
        allowed: 'a map from region to HOST[:PORT]',
        default: {},
      })
      .nullish(),
  })
  .meta({ description: 'Attests calls to AWS KMS. Needs `egress.allow`.', allowed: 'a map' });

const api = z
  .strictObject({ listen_port: port('TCP port of the attestation API inside the enclave.') })
  .meta({ description: 'Gives attestation documents to the application.', allowed: 'a map' });

const spire = z
  .strictObject({
    server_addr: matching(
      new RegExp(`^https://(?:${HOST}|\\[[0-9A-Fa-f:.]+\\])(?::${PORT})?/?$`),
      'Address of the SPIRE server.',
      'https://HOST[:PORT]',
    ),
    ca_cert: text('Certificate authority of the SPIRE server, in PEM form.', 'a path'),
    trust_domain: matching(/^[a-z0-9._-]{1,255}$/, 'SPIFFE trust domain.', 'lower-case letters, digits, ".", "-", "_"'),
    svid_dir: text('Folder that the certificate is written to.', 'a path'),
    workload_api_addr: matching(
      new RegExp(`^(?:(?:\\d{1,3}\\.){3}\\d{1,3}|\\[[0-9A-Fa-f:.]+\\]):${PORT}$`),
      'Where the Workload API listens.',
      'ADDRESS:PORT',
    )
      .meta({ default: DEFAULT_WORKLOAD_API_ADDR })
      .nullish(),
  })
  .meta({ description: 'SPIFFE identity for the application.', allowed: 'a map' });

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
    target: parsed(
      target,
      ImageSourceError,
      'Name that the release image is given, and that `run` looks for.',
      'an image reference without a digest, [REGISTRY[:PORT]/]NAME[:TAG]',
    ),
    sources,
    signature: signature.nullish(),
    ingress: ingress.nullish(),
    egress: egress.nullish(),
    defaults: defaults.nullish(),
    kms_proxy: kmsProxy.nullish(),
    api: api.nullish(),
    spire: spire.nullish(),
  })
  .meta({ title: 'enclaver.yaml', description: 'What an enclave is made of and what it may do.', allowed: 'a map' });

export type RawManifest = z.output<typeof manifestSchema>;

/** `enclaver.yaml` v1 with defaults applied. Keys are in camelCase; it can be sent as JSON. */
export interface Manifest {
  version: 'v1';
  name: string;
  target: string;
  sources: { app: string; odyn?: string; sleeve?: string };
  signature?: { certificate: string; key: string };
  ingress: { listenPort: number; tls?: { keyFile: string; certFile: string; clientCaFile?: string; alpn: string[] } }[];
  egress?: { proxyPort: number; allow: string[]; deny: string[] };
  defaults: { cpuCount: number; memoryMb: number };
  kmsProxy?: { listenPort: number; endpoints: Record<string, string> };
  api?: { listenPort: number };
  spire?: { serverAddr: string; caCert: string; trustDomain: string; svidDir: string; workloadApiAddr: string };
}

export function normalise(raw: RawManifest): Manifest {
  const odyn = raw.sources.odyn ?? raw.sources.supervisor;
  const sleeve = raw.sources.sleeve ?? raw.sources.wrapper;
  return {
    version: raw.version,
    name: raw.name,
    target: raw.target,
    sources: { app: raw.sources.app, ...(odyn ? { odyn } : {}), ...(sleeve ? { sleeve } : {}) },
    ...(raw.signature ? { signature: raw.signature } : {}),
    ingress: (raw.ingress ?? []).map(({ listen_port, tls }) => ({
      listenPort: listen_port,
      ...(tls
        ? {
            tls: {
              keyFile: tls.key_file,
              certFile: tls.cert_file,
              ...(tls.client_ca_file ? { clientCaFile: tls.client_ca_file } : {}),
              alpn: tls.alpn ?? [],
            },
          }
        : {}),
    })),
    ...(raw.egress
      ? {
          egress: {
            proxyPort: raw.egress.proxy_port ?? DEFAULT_PROXY_PORT,
            allow: raw.egress.allow ?? [],
            deny: raw.egress.deny ?? [],
          },
        }
      : {}),
    defaults: {
      cpuCount: raw.defaults?.cpu_count ?? DEFAULT_CPU_COUNT,
      memoryMb: raw.defaults?.memory_mb ?? DEFAULT_MEMORY_MB,
    },
    ...(raw.kms_proxy
      ? { kmsProxy: { listenPort: raw.kms_proxy.listen_port, endpoints: raw.kms_proxy.endpoints ?? {} } }
      : {}),
    ...(raw.api ? { api: { listenPort: raw.api.listen_port } } : {}),
    ...(raw.spire
      ? {
          spire: {
            serverAddr: raw.spire.server_addr,
            caCert: raw.spire.ca_cert,
            trustDomain: raw.spire.trust_domain,
            svidDir: raw.spire.svid_dir,
            workloadApiAddr: raw.spire.workload_api_addr ?? DEFAULT_WORKLOAD_API_ADDR,
          },
        }
      : {}),
  };
}
