import { instancePcr, rolePcr } from '@enclaver/eif';
import { TrustError } from './errors.ts';

/** Partitions of AWS with their own ARNs. */
const PARTITIONS = ['aws', 'aws-cn', 'aws-us-gov', 'aws-iso', 'aws-iso-b', 'aws-iso-e', 'aws-iso-f', 'aws-eusc'];

export interface RoleArn {
  arn: string;
  partition: string;
  account: string;
}

/** Path and name of a role as IAM takes them (CreateRole: Path up to 512 characters, RoleName up to 64). */
const ROLE = /^role\/(?:[\x21-\x7e]{1,510}\/)?[\w+=,.@-]{1,64}$/;

/**
 * Checks the ARN of an IAM role, `arn:<partition>:iam::<account>:role/<path/name>`. PCR3 is a hash over its text, so nothing is
 * trimmed or mended. Throws ROLE_ARN_INVALID, and says the right form for what is often taken for it.
 */
export function parseRoleArn(arn: string): RoleArn {
  const [head, partition = '', service, region, account = '', ...rest] = arn.split(':');
  const resource = rest.join(':');
  const shown = JSON.stringify(arn);
  const form = `arn:${PARTITIONS.includes(partition) ? partition : 'aws'}:iam::<account>:role/<path/name>`;
  if (head !== 'arn' || !PARTITIONS.includes(partition) || !/^\d{12}$/.test(account)) {
    throw invalid(`${shown} is no ARN of a role`, `give ${form}, with one of the partitions ${PARTITIONS.join(', ')}`);
  }
  const session = /^assumed-role\/([^/]+)/.exec(resource);
  if (service === 'sts' && session !== null) {
    throw invalid(
      `${shown} is a session of a role; PCR3 measures the role itself`,
      `give arn:${partition}:iam::${account}:role/${session[1]}, with the role's path before its name if it has one (aws iam get-role)`,
    );
  }
  const kind = resource.split('/')[0];
  if (kind === 'user' || kind === 'root' || kind === 'group') {
    throw invalid(`${shown} is a ${kind}; an instance has a role`, `give the role of the parent instance: ${form}`);
  }
  if (kind === 'instance-profile') {
    throw invalid(
      `${shown} is an instance profile; PCR3 measures the role in it`,
      'give the ARN of its role: aws iam get-instance-profile shows it',
    );
  }
  if (service !== 'iam' || region !== '' || !ROLE.test(resource) || resource.includes('//')) {
    throw invalid(`${shown} is no ARN of a role`, `give ${form}`);
  }
  return { arn, partition, account };
}

/** PCR3 of an enclave whose parent instance has this role. Throws ROLE_ARN_INVALID. */
export function rolePcrOf(arn: string): string {
  return rolePcr(parseRoleArn(arn).arn).toString('hex');
}

/** PCR4 of an enclave on this instance: `i-` and 17 lower-case hexadecimal digits (8 on old ones). Throws INSTANCE_ID_INVALID. */
export function instancePcrOf(id: string): string {
  if (!/^i-(?:[0-9a-f]{17}|[0-9a-f]{8})$/.test(id)) {
    throw new TrustError(
      'INSTANCE_ID_INVALID',
      `${JSON.stringify(id)} is no id of an instance; allowed is i- and 17 (or 8) lower-case hexadecimal digits`,
      'give the id of the parent EC2 instance, such as i-0123456789abcdef0',
    );
  }
  return instancePcr(id).toString('hex');
}

function invalid(message: string, remedy: string): TrustError {
  return new TrustError('ROLE_ARN_INVALID', message, remedy);
}
