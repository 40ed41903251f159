import { nativeTransport } from '@enclaver/vsock';
import { bootTimes } from './bootstrap/boot-clock.ts';
import { isHybridVsock, parentCid, readCmdline } from './bootstrap/cmdline.ts';
import { openNsm } from './nsm/open-nsm.ts';
import { Odyn } from './odyn.ts';
import { system } from './system/system.ts';

/** Where the runtime bundle keeps the native parts of @enclaver/vsock and of odyn. */
process.env.ENCLAVER_VSOCK_ADDON ??= '/odyn/vsock.node';
process.env.ENCLAVER_ODYN_ADDON ??= '/odyn/odyn.node';

async function main(): Promise<void> {
  const cmdline = readCmdline();
  const cid = parentCid(cmdline);
  const transport = nativeTransport({ cid, peerCids: [cid], hybrid: isHybridVsock(cmdline) });
  const opened = openNsm(transport, cmdline);
  const odyn = new Odyn({
    transport,
    ...(opened === undefined ? {} : { nsm: opened.nsm, nsmOrigin: opened.origin }),
    system,
    boot: bootTimes(process.env),
    root: '/rootfs',
    launchDescription: '/launch.json',
    launchPath: '/odyn/launch',
    cgroupTree: '/sys/fs/cgroup',
    redirectPath: '/odyn/redirect',
    outputDirectory: '/run',
  });
  await odyn.run();
}

// Not thrown away but not caught either: a fault of odyn's own ends the process, and init reports the crash
void main().then(() => process.exit(0));
