/** odyn around an app as a process of its own, without a machine: `node odyn-process.ts FOLDER` reads an `AppSpec` from stdin; its `files` are base64. */
import { json } from 'node:stream/consumers';
import { type AppSpec, FakeParent, startOdyn } from '../../odyn/test/harness.ts';

const [folder = ''] = process.argv.slice(2);
const spec = (await json(process.stdin)) as AppSpec & { files: Record<string, string> };
const files = Object.entries(spec.files).map(([path, base64]) => [path, Buffer.from(base64, 'base64')]);
const { finished } = await startOdyn(FakeParent.at(folder), { ...spec, files: Object.fromEntries(files) });
await finished;
process.exit(0);
