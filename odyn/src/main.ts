import { nativeTransport } from '@enclaver/vsock';
import { bootTimes } from './bootstrap/boot-clock.ts';
import { isHybridVsock, parentCid, readCmdline } from './bootstrap/cmdline.ts';
import { openNsm } from './nsm/open-nsm.ts';
import { Odyn } from './odyn.ts';

/** Where the runtime bundle keeps the native part of @enclaver/vsock. */
process.env.ENCLAVER_VSOCK_ADDON ??= '/odyn/vsock.node';

async function main(): Promise<void> {
  const cmdline = readCmdline();
  const cid = parentCid(cmdline);
  const transport = nativeTransport({ cid, peerCids: [cid], hybrid: isHybridVsock(cmdline) });
  const nsm = openNsm(transport, cmdline);
  const odyn = new Odyn({
    transport,
    ...(nsm === undefined ? {} : { nsm }),
    boot: bootTimes(process.env),
    root: '/rootfs',
    launchDescription: '/launch.json',
    launchPath: '/odyn/launch',
    outputDirectory: '/run',
  });
  await odyn.run();
}

// Not thrown away but not caught either: a fault of odyn's own ends the process, and init reports the crash
void main().then(() => process.exit(0));
