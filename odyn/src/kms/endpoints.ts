import { KmsError } from './kms-error.ts';

/** Endpoints by partition, after the partition table of AWS's SDKs (botocore, data/partitions.json). */
interface Partition {
  readonly regions: RegExp;
  readonly suffix: string;
  readonly dualStackSuffix?: string;
}

const AWS: Partition = {
  regions: /^(?:us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$/,
  suffix: 'amazonaws.com',
  dualStackSuffix: 'api.aws',
};
const PARTITIONS: readonly Partition[] = [
  AWS,
  {
    regions: /^cn-\w+-\d+$/,
    suffix: 'amazonaws.com.cn',
    dualStackSuffix: 'api.amazonwebservices.com.cn',
  },
  { regions: /^us-gov-\w+-\d+$/, suffix: 'amazonaws.com', dualStackSuffix: 'api.aws' },
  { regions: /^us-iso-\w+-\d+$/, suffix: 'c2s.ic.gov' },
  { regions: /^us-isob-\w+-\d+$/, suffix: 'sc2s.sgov.gov' },
  { regions: /^eu-isoe-\w+-\d+$/, suffix: 'cloud.adc-e.uk' },
  { regions: /^us-isof-\w+-\d+$/, suffix: 'csp.hci.ic.gov' },
  { regions: /^eusc-de-\w+-\d+$/, suffix: 'amazonaws.eu' },
];

const REGION = /^[a-z]+(?:-[a-z0-9]+)+$/;
const REGION_MAX = 32;

/** Whether it can be a region: one label of a host name, so that nothing else stands in its place. */
export function isRegion(text: string): boolean {
  return text.length <= REGION_MAX && REGION.test(text);
}

export interface EndpointOptions {
  /** `HOST[:PORT]` by region, of the manifest. */
  readonly overrides: Readonly<Record<string, string>>;
  readonly fips: boolean;
  readonly dualStack: boolean;
}

/** `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` of the image, as AWS's SDKs read them. */
export function endpointOptions(
  env: Readonly<Record<string, string>>,
  overrides: EndpointOptions['overrides'],
): EndpointOptions {
  const isOn = (name: string): boolean => env[name]?.trim().toLowerCase() === 'true';
  return { overrides, fips: isOn('AWS_USE_FIPS_ENDPOINT'), dualStack: isOn('AWS_USE_DUALSTACK_ENDPOINT') };
}

/** `HOST[:PORT]` of KMS in a region. A region that no partition knows is one of `aws`. @throws KmsError KMS_ENDPOINT */
export function kmsEndpoint(region: string, { overrides, fips, dualStack }: EndpointOptions): string {
  const own = Object.hasOwn(overrides, region) ? overrides[region] : undefined;
  if (own !== undefined) return own;
  if (!isRegion(region)) {
    throw new KmsError('KMS_ENDPOINT', `${JSON.stringify(region.slice(0, REGION_MAX))} is no name of a region`, {
      remedy: 'set AWS_REGION to one such as us-east-1',
    });
  }
  const partition = PARTITIONS.find(({ regions }) => regions.test(region)) ?? AWS;
  const suffix = dualStack ? partition.dualStackSuffix : partition.suffix;
  if (suffix === undefined) {
    throw new KmsError('KMS_ENDPOINT', `the partition of ${region} has no dual-stack endpoints`, {
      remedy: 'take AWS_USE_DUALSTACK_ENDPOINT away, or name the endpoint in kms_proxy.endpoints',
    });
  }
  return `${fips ? 'kms-fips' : 'kms'}.${region}.${suffix}`;
}

/** Every host that `kmsEndpoint` can name, as patterns of `egress.allow`. */
export function kmsDestinations({ overrides }: EndpointOptions): string[] {
  const suffixes = new Set(PARTITIONS.flatMap(({ suffix, dualStackSuffix = suffix }) => [suffix, dualStackSuffix]));
  const hosts = [...suffixes].flatMap((suffix) => [`kms.*.${suffix}`, `kms-fips.*.${suffix}`]);
  const named = Object.values(overrides).map((each) => (each.includes(':') ? each : `${each}:443`));
  return [...hosts.map((host) => `${host}:443`), ...named];
}
