// Makes build/vsock-x64.node and build/vsock-arm64.node of native/*.c; `--sanitize` makes build/vsock-asan.node instead.
import { buildAddon } from '../../../scripts/native-addon.ts';

const addon = { name: 'vsock', sources: 'libs/vsock/native', output: 'libs/vsock/build' };
await buildAddon(addon, { sanitize: process.argv.includes('--sanitize') });
