/** Inside the root of `NativeOdyn`. */
export const paths = {
  vsock: '/run/vsock',
  root: '/rootfs',
  launchDescription: '/launch.json',
  outputs: '/run',
} as const;
