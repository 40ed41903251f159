/** odyn with a Unix socket in the place of the vsock: the rest is as in an enclave. Bundled, as that is: see `NativeOdyn`. */
import { unixTransport } from '@enclaver/vsock';
import { Odyn } from '../../odyn/src/odyn.ts';
import { paths } from './paths.ts';

const odyn = new Odyn({
  transport: unixTransport({ path: paths.vsock }),
  boot: { initMs: 0, odynMs: 0 },
  root: paths.root,
  launchDescription: paths.launchDescription,
  launchPath: '/odyn/launch',
  redirectPath: '/odyn/redirect',
  outputDirectory: paths.outputs,
});
void odyn.run().then(() => process.exit(0));
