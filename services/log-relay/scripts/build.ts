// Makes build/datagram-x64.node and build/datagram-arm64.node of native/*.c; `--sanitize=address` makes build/datagram-asan.node instead, `--sanitize=thread` build/datagram-tsan.node.
import { buildAddon, sanitizerOf } from '../../../scripts/native-addon.ts';

const addon = {
  name: 'datagram',
  sources: 'services/log-relay/native',
  shared: ['libs/vsock/native/values.c'],
  output: 'services/log-relay/build',
};
await buildAddon(addon, sanitizerOf(process.argv));
