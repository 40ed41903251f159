// Makes dist/native/odyn-x64.node and odyn-arm64.node of odyn/native/*.c; `--sanitize` makes odyn-asan.node instead.
import { buildAddon } from '../../scripts/native-addon.ts';

const addon = {
  name: 'odyn',
  sources: 'odyn/native',
  shared: ['libs/vsock/native/values.c'],
  output: 'dist/native',
};
await buildAddon(addon, { sanitize: process.argv.includes('--sanitize') });
