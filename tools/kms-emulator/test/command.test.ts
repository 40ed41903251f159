import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import { selfMadePair } from '../src/index.ts';
import { root } from './support.ts';

const run = promisify(execFile);
const repository = resolve(import.meta.dirname, '../../..');
const command = join(repository, 'tools/kms-emulator/bin/kms-emulator');
const page = await readFile(join(repository, 'docs/kms-emulator.md'), 'utf8');

/** The block of the page in this language. */
function block(language: string): string {
  const [, text = ''] = new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(page) ?? [];
  return text;
}

describe('kms-emulator, the command', () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kms-emulator-'));
    await writeFile(file('development-root.pem'), root.save(), { mode: 0o600 });
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('does what docs/kms-emulator.md shows, and ends with a signal', async () => {
    const shown = JSON.parse(block('json')) as { credentials: [Record<string, string>] };
    await writeFile(file('kms.json'), JSON.stringify({ ...shown, port: 0 }));
    const emulator = spawn(command, [file('kms.json')], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const { endpoint, keys } = await firstLine(emulator);
      assert.deepEqual(keys, ['arn:aws:kms:us-east-1:111122223333:key/6b1f2c3d-0a4e-4b5f-8c6d-7e8f9a0b1c2d']);
      const [{ accessKeyId, secretAccessKey }] = shown.credentials;
      const env = {
        ...process.env,
        AWS_ENDPOINT_URL_KMS: endpoint,
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      };
      const enclave = (script: string) =>
        run(process.execPath, ['--input-type=module', '-e', script, file('development-root.pem')], {
          cwd: repository,
          env,
          timeout: 20_000,
        });
      // With -e the first argument is the script's own
      const script = block('js').replace('process.argv[2]', 'process.argv[1]');
      assert.equal((await enclave(script)).stdout, 'for the enclave alone\n');
      await assert.rejects(enclave(script.replace("'a'.repeat", "'d'.repeat")), /AccessDeniedException/);
    } finally {
      emulator.kill('SIGTERM');
    }
    const [code] = emulator.exitCode === null ? await once(emulator, 'exit') : [emulator.exitCode];
    assert.equal(code, 0);
  });

  it('serves TLS with a certificate of its own, which it prints, or with a pair that it is given', async () => {
    const shown = JSON.parse(block('json')) as object;
    const pair = selfMadePair();
    await writeFile(file('key.pem'), pair.key, { mode: 0o600 });
    await writeFile(file('cert.pem'), pair.cert);
    for (const tls of ['self-made', { key: 'key.pem', cert: 'cert.pem' }]) {
      await writeFile(file('kms.json'), JSON.stringify({ ...shown, port: 0, tls }));
      const emulator = spawn(command, [file('kms.json')], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        const { endpoint, certificate } = await firstLine(emulator);
        assert.equal(certificate === pair.cert, tls !== 'self-made');
        const { port } = new URL(endpoint);
        for (const servername of ['host', 'localhost', 'kms-emulator']) {
          const socket = connect({ host: '127.0.0.1', port: Number(port), servername, ca: certificate });
          await once(socket, 'secureConnect');
          socket.destroy();
        }
        const [error] = await once(connect({ host: '127.0.0.1', port: Number(port) }), 'error');
        assert.equal((error as { code?: string }).code, 'DEPTH_ZERO_SELF_SIGNED_CERT');
      } finally {
        emulator.kill('SIGTERM');
      }
    }
  });

  it('refuses a configuration that is wrong, and says where', async () => {
    const shown = JSON.parse(block('json')) as Record<string, unknown>;
    const key = { spec: 'SYMMETRIC_DEFAULT' };
    for (const [config, message] of [
      ['{', /the configuration is not JSON/],
      [{ ...shown, extra: 1 }, /extra/],
      [{ ...shown, credentials: [] }, /credentials/],
      [{ ...shown, keys: [{ ...key, id: 'app' }] }, /keys\[0\] cannot be made: the id/],
      [{ ...shown, keys: [{ ...key, material: 'AAAA' }] }, /keys\[0\].*32 bytes/],
      [{ ...shown, keys: [key, { ...key, policy: { Statement: [{}] } }] }, /keys\[1\].*Statement/s],
      [{ ...shown, roots: ['kms.json'] }, /no certificate in PEM/],
      [{ ...shown, tls: 'yes' }, /tls/],
      [{ ...shown, tls: { key: 'kms.json', cert: 'kms.json' } }, /not in PEM form/],
    ] as const) {
      await writeFile(file('kms.json'), typeof config === 'string' ? config : JSON.stringify(config));
      await assert.rejects(
        run(command, [file('kms.json')], { timeout: 20_000 }),
        (error: { code: number; stderr: string }) => {
          assert.equal(error.code, 2);
          assert.match(error.stderr, /^error\[EMULATOR_CONFIG_INVALID\]/);
          assert.match(error.stderr, message);
          return true;
        },
      );
    }
    await assert.rejects(run(command, [file('none.json')]), { code: 1, stderr: /^error\[ENOENT\]/ });
  });
});

async function firstLine(
  child: ChildProcessByStdio<null, Readable, null>,
): Promise<{ endpoint: string; keys: string[]; certificate?: string }> {
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return JSON.parse(line) as { endpoint: string; keys: string[]; certificate?: string };
}
