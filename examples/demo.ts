import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { helloDemo } from './hello/demo.ts';
import { secretDemo } from './secret/demo.ts';
import { say } from './show.ts';

/**
 * The main job from end to end, as a user would do it. Uses the `enclaver` command and nothing of its inside; what is AWS in
 * earnest is emulated on this machine: the metadata service, KMS, and the module that signs attestation documents.
 */
const work = await mkdtemp(join(tmpdir(), 'enclaver-demo-'));
// A root of this demo's own signs its documents, and goes with it
process.env.ENCLAVER_NSM_DIR = join(work, 'nsm');
try {
  const right = (await helloDemo(work)) && (await secretDemo(work));
  say(right ? 'the demo went as it should' : 'the demo did not go as it should');
  process.exitCode = right ? 0 : 1;
} finally {
  await rm(work, { recursive: true });
}
