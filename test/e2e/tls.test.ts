import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { start } from '../stack/enclaver.ts';
import { freePort } from '../stack/free-port.ts';
import { TestStack } from '../stack/stack.ts';
import { buildEnclave } from './build-image.ts';

const run = promisify(execFile);

describe('TLS that ends in a booted enclave', function () {
  this.timeout(180_000);

  let work: string;
  let stack: TestStack;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'enclaver-e2e-'));
    stack = await TestStack.start();
  });

  after(async () => {
    await stack[Symbol.asyncDispose]();
    await rm(work, { recursive: true });
  });

  it('is understood by curl; the app gets plain HTTP', async () => {
    const context = join(work, 'context');
    await mkdir(context);
    const files = ['-keyout', join(context, 'key.pem'), '-out', join(context, 'cert.pem')];
    const name = ['-subj', '/CN=enclave.example', '-addext', 'subjectAltName=DNS:enclave.example'];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', '-x509', ...key, ...files, ...name], { stdio: 'ignore' });
    await writeFile(
      join(context, 'Dockerfile'),
      'FROM enclaver-test/busybox:local\nCOPY key.pem cert.pem /srv/tls/\nRUN mkdir /www && echo inside > /www/page\n' +
        'CMD ["busybox", "httpd", "-f", "-p", "127.0.0.1:8443", "-h", "/www"]\n',
    );
    const { eif } = await buildEnclave({
      work,
      name: 'tls',
      context: { folder: context },
      manifest:
        'defaults: { cpu_count: 2, memory_mb: 768 }\ningress:\n  - listen_port: 8443\n' +
        '    tls: { key_file: /srv/tls/key.pem, cert_file: /srv/tls/cert.pem, alpn: [http/1.1] }\n',
      env: stack.env,
    });
    const port = await freePort();
    const enclave = start(['run', eif, '-p', `127.0.0.1:${port}:8443`], stack.env);
    await enclave.seen(/ ready/);
    const curl = (...more: string[]) =>
      run('curl', [
        '--silent',
        '--show-error',
        '--cacert',
        join(context, 'cert.pem'),
        '--resolve',
        `enclave.example:${port}:127.0.0.1`,
        ...more,
        `https://enclave.example:${port}/page`,
      ]);
    assert.equal((await curl('--tlsv1.3')).stdout, 'inside\n');
    assert.equal((await curl('--tls-max', '1.2')).stdout, 'inside\n');
    enclave.process.kill('SIGTERM');
    assert.equal((await enclave.finished).code, 109);
  });
});
