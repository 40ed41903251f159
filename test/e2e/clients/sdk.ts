import { readFileSync } from 'node:fs';
import {
  DecryptCommand,
  DeriveSharedSecretCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyPairCommand,
  GenerateRandomCommand,
  GetPublicKeyCommand,
  KMSClient,
} from '@aws-sdk/client-kms';

/** Runs in an enclave: the calls of the plan with AWS's SDK for JavaScript. One line of JSON for each result. */

const commands = {
  Decrypt: DecryptCommand,
  DeriveSharedSecret: DeriveSharedSecretCommand,
  DescribeKey: DescribeKeyCommand,
  Encrypt: EncryptCommand,
  GenerateDataKey: GenerateDataKeyCommand,
  GenerateDataKeyPair: GenerateDataKeyPairCommand,
  GenerateRandom: GenerateRandomCommand,
  GetPublicKey: GetPublicKeyCommand,
};

interface Call {
  case: string;
  action: keyof typeof commands;
  region: string;
  arguments: Record<string, unknown>;
  once?: true;
}

const plan = JSON.parse(readFileSync('/app/plan.json', 'utf8')) as { binary: string[]; calls: Call[] };
const toBytes = (name: string, value: unknown): unknown =>
  plan.binary.includes(name) ? Buffer.from(String(value), 'base64') : value;
const toText = (value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;

async function callAll(): Promise<void> {
  for (const { case: name, action, region, arguments: given, once } of plan.calls) {
    if (action === undefined || once) continue;
    // Its endpoint comes from AWS_ENDPOINT_URL_KMS, its credentials from the environment: nothing is said of an enclave
    const client = new KMSClient({ region, maxAttempts: 1 });
    const Command = commands[action] as typeof DecryptCommand;
    const input = Object.fromEntries(Object.entries(given).map(([field, value]) => [field, toBytes(field, value)]));
    try {
      const { $metadata: _, ...answer } = await client.send(new Command(input as never));
      say({
        case: name,
        answer: Object.fromEntries(Object.entries(answer).map(([field, value]) => [field, toText(value)])),
      });
    } catch (error) {
      say({ case: name, error: (error as Error).name });
    }
  }
}

function say(result: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify({ client: 'sdk', ...result })}\n`);
}

void callAll();
