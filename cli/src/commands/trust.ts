import {
  ATTESTING_ACTIONS,
  type AttestingAction,
  instancePcrOf,
  kmsStatement,
  type Pcrs,
  parseRoleArn,
  type Register,
  registerNames,
  rolePcrOf,
} from '@enclaver/trust';
import { type Command, InvalidArgumentError } from 'commander';
import { CliError } from '../cli-error.ts';
import { measureTarget } from '../measure.ts';
import { addOutputOption, type OutputFormat, writeJson } from '../output/format.ts';
import { trustJson, trustTables } from '../output/trust.ts';
import { runTargetOf } from '../run-target.ts';
import { printKms } from './trust/kms.ts';
import { addLint } from './trust/lint.ts';

interface TrustOptions {
  output: OutputFormat;
  roleArn?: string;
  instanceId?: string;
  kms?: true;
  principal?: string;
  registers?: Register[];
  actions?: AttestingAction[];
  label?: string;
  merge?: string;
  write?: true;
}

export function addTrust(program: Command): void {
  const command = program
    .command('trust')
    .summary('measure an image, and say so in a KMS key policy')
    .description(
      "Computes the PCRs of an enclave from its image's bytes, never from a label, and shows what each of them means.\n" +
        '--kms prints the statement of a KMS key policy that lets in this enclave only. A file needs no stack.',
    )
    .enablePositionalOptions()
    .argument('<image>', 'release image, or path of an EIF')
    .option('--role-arn <arn>', 'IAM role of the parent instance: predicts PCR3')
    .option('--instance-id <id>', 'parent instance: predicts PCR4')
    .option('--kms', 'print a statement for a KMS key policy')
    .option('--principal <arn>', 'role whose credentials the enclave uses (default: --role-arn)')
    .option(
      '--registers <numbers>',
      'registers to compare, such as 1,2,8 (default: all that have a value)',
      parseRegisters,
    )
    .option('--actions <names>', 'actions to allow, such as Decrypt,GenerateDataKey (default: all five)', parseActions)
    .option('--label <label>', 'tells several of our statements in a policy apart, such as Next')
    .option('--merge <policy.json>', 'put the statement into this policy; the difference goes to stderr')
    .option('--write', 'write the merged policy back to its file');
  addOutputOption(command, 'table', 'json').action(trust);
  addLint(command);
}

function parseRegisters(text: string): Register[] {
  return text.split(',').map((number) => {
    const register = registerNames.find((name) => name === `PCR${number.trim().replace(/^PCR/i, '')}`);
    if (register === undefined) throw new InvalidArgumentError('Allowed are 0, 1, 2, 3, 4 and 8, with commas between.');
    return register;
  });
}

function parseActions(text: string): AttestingAction[] {
  return text.split(',').map((name) => {
    const action = ATTESTING_ACTIONS.find((each) => each.slice('kms:'.length) === name.trim().replace(/^kms:/i, ''));
    if (action === undefined) {
      throw new InvalidArgumentError(`Only these take an attestation document: ${ATTESTING_ACTIONS.join(', ')}.`);
    }
    return action;
  });
}

async function trust(image: string, options: TrustOptions): Promise<void> {
  const { roleArn, instanceId, kms, merge, write, registers, actions, label } = options;
  checkUsage(options);
  const principal = options.principal ?? roleArn;
  // Before the image, for which a stack may have to be started
  const predicted: Pcrs = {
    ...(roleArn === undefined ? {} : { PCR3: rolePcrOf(roleArn) }),
    ...(instanceId === undefined ? {} : { PCR4: instancePcrOf(instanceId) }),
  };
  if (principal !== undefined) parseRoleArn(principal);
  const pcrs: Pcrs = { ...(await measureTarget(await runTargetOf(image, undefined))), ...predicted };
  if (kms === true && principal !== undefined) {
    await printKms(kmsStatement({ principal, roleArn, pcrs, registers, actions, label }), merge, write === true);
  } else if (options.output === 'json') writeJson(trustJson(pcrs));
  else process.stdout.write(trustTables(pcrs));
}

function checkUsage(options: TrustOptions): void {
  const forKms = (['principal', 'registers', 'actions', 'label', 'merge', 'write'] as const).find(
    (name) => options[name] !== undefined,
  );
  if (options.kms !== true && forKms !== undefined) {
    throw new CliError('USAGE', `--${forKms} was given without --kms`, 'add --kms: it is about the key policy');
  }
  if (options.write === true && options.merge === undefined) {
    throw new CliError('USAGE', '--write was given without --merge', 'name the policy with --merge');
  }
  if (options.kms === true && options.principal === undefined && options.roleArn === undefined) {
    throw new CliError(
      'USAGE',
      '--kms needs to know who may use the key',
      'give the role whose credentials the enclave uses: --principal, or --role-arn to compare PCR3, too',
    );
  }
}
