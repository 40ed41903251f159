import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { type Folder, tempFolder } from './eif-support.ts';
import { FakeBuilder } from './fake-builder.ts';

const command = new URL('../bin/enclaver', import.meta.url).pathname;

/** The manifest as it is asked to be built; `name` says where its bytes come from. */
describe('enclaver build', () => {
  let builder: FakeBuilder;
  let folder: Folder;
  let asked: string[];

  before(async () => {
    folder = await tempFolder();
    builder = await FakeBuilder.start(() => ({
      build: async ({ manifest }) => {
        asked.push(manifest);
        throw new Error('asked');
      },
    }));
  });

  after(async () => {
    await builder[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    asked = [];
  });

  const MANIFEST = 'version: v1\nname: a\ntarget: a:b\nsources:\n  app: a:1\n';

  for (const from of ['file', 'stdin'] as const) {
    /** What the command says when it is given these bytes. */
    async function build(bytes: Buffer): Promise<string> {
      const file = folder.file('enclaver.yaml');
      await writeFile(file, bytes);
      const { promise, resolve } = Promise.withResolvers<string>();
      const env = { ...process.env, ...builder.env };
      const child = execFile(command, ['build', '-f', from === 'file' ? file : '-'], { env }, (_, __, stderr) =>
        resolve(stderr),
      );
      // A command that has enough reads no further
      child.stdin?.on('error', () => undefined).end(bytes);
      return await promise;
    }

    it(`gives the bytes of its ${from} on as they are, a byte order mark too`, async () => {
      const bytes = Buffer.from(`\ufeff${MANIFEST}# ü \t\r\n`);
      await build(bytes);
      assert.equal(asked.length, 1);
      assert.deepEqual(Buffer.from(asked[0] ?? ''), bytes);
    });

    it(`refuses a ${from} with bytes that are not UTF-8`, async () => {
      const stderr = await build(Buffer.concat([Buffer.from(`${MANIFEST}# `), Buffer.from([0xe9, 0x0a])]));
      assert.match(stderr, /error\[MANIFEST_YAML\]: .*bytes that are not UTF-8/);
      assert.deepEqual(asked, []);
    });

    it(`reads no more of a ${from} than a manifest may have`, async () => {
      const stderr = await build(Buffer.from(`${MANIFEST}# ${'x'.repeat(3 << 20)}`));
      assert.match(stderr, /error\[MANIFEST_TOO_LARGE\]/);
      assert.deepEqual(asked, []);
    });
  }
});
