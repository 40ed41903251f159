import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { HttpHarness } from './http-harness.ts';

const run = promisify(execFile);

/** curl, with what it prints: the answer's head and body. */
export async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '-i', '--max-time', '10', ...args]);
  return stdout;
}

describe('HTTP mode', () => {
  let harness: HttpHarness;

  beforeEach(async () => {
    harness = await HttpHarness.start();
  });

  afterEach(async () => {
    await harness[Symbol.asyncDispose]();
  });

  it('brings a request of curl to the app and its answer back, in HTTP/1.1 and HTTP/2', async () => {
    const { published } = await harness.publish('a');
    harness.serve('a', (request, response) => response.end(`${request.httpVersion} ${request.method} ${request.url}`));
    for (const version of ['--http1.1', '--http1.0', '--http2-prior-knowledge', '--http2']) {
      const answer = await curl(version, `http://127.0.0.1:${published.port}/x/../y?q=%2e`, '--path-as-is');
      assert.match(answer, /^HTTP\/(1\.1|2) 200/);
      assert.match(answer, /\r\n\r\n1\.1 GET \/x\/\.\.\/y\?q=%2e$/);
    }
  });
});
