import * as z from 'zod';

/**
 * `launch.json` in ramdisk 1: how to start the app, as the image's configuration says. Part of PCR0 and PCR2, so the
 * parent cannot change it. Nitro's own init knows only CMD *or* ENTRYPOINT and neither USER nor WORKDIR.
 */
export const launchDescriptionSchema = z.strictObject({
  version: z.literal(1),
  /** ENTRYPOINT followed by CMD. */
  argv: z.array(z.string().refine((word) => !word.includes('\0'))).min(1),
  /** `NAME=value`, in the image's order. */
  env: z.array(z.string().regex(/^[^=\0]+=[^\0]*$/)),
  /** As in the image: empty, name, uid, name:group or uid:gid; resolved inside against the image's own passwd and group. */
  user: z.string(),
  /** Absolute; made if the image has no such folder, as container engines do. */
  workdir: z.string().startsWith('/'),
  /** Signal that asks the app to stop. */
  stopSignal: z.string().regex(/^SIG[A-Z0-9+-]+$/),
});

export type LaunchDescription = z.infer<typeof launchDescriptionSchema>;

/** Path of the launch description in ramdisk 1, and of the app's root folder beside it. */
export const LAUNCH_PATH = 'launch.json';
export const ROOTFS_PATH = 'rootfs';

/** Path of the manifest inside the app's root: the exact bytes that were given to the build. */
export const MANIFEST_PATH = 'etc/enclaver/enclaver.yaml';
