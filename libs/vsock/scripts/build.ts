// Makes build/vsock-x64.node and build/vsock-arm64.node of native/*.c; `--sanitize=address` makes build/vsock-asan.node instead, `--sanitize=thread` build/vsock-tsan.node.
import { buildAddon, sanitizerOf } from '../../../scripts/native-addon.ts';

const addon = { name: 'vsock', sources: 'libs/vsock/native', output: 'libs/vsock/build' };
await buildAddon(addon, sanitizerOf(process.argv));
