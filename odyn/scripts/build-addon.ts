// Makes dist/native/odyn-x64.node and odyn-arm64.node of odyn/native/*.c; `--sanitize=address` makes odyn-asan.node instead, `--sanitize=thread` odyn-tsan.node.
import { buildAddon, sanitizerOf } from '../../scripts/native-addon.ts';

const addon = {
  name: 'odyn',
  sources: 'odyn/native',
  shared: ['libs/vsock/native/values.c'],
  output: 'dist/native',
};
await buildAddon(addon, sanitizerOf(process.argv));
