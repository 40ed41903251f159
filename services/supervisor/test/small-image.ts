import { cpio, S_IFDIR, S_IFREG, writeEif } from '@enclaver/eif';

const MANIFEST = `version: v1
name: hello
target: hello:enclave
sources:
  app: hello:latest
ingress:
  - listen_port: 8080
`;

const LAUNCH = JSON.stringify({
  version: 1,
  argv: ['/hello'],
  env: [],
  user: '',
  workdir: '/',
  stopSignal: 'SIGTERM',
});

/** Writes an image that is right in form and would not boot. */
export async function writeSmallImage(
  path: string,
  options: { manifest?: string; launch?: string } = {},
): Promise<void> {
  const file = (name: string, text: string) => ({ path: name, mode: S_IFREG | 0o644, data: Buffer.from(text) });
  const folder = (name: string) => ({ path: name, mode: S_IFDIR | 0o755 });
  const { manifest = MANIFEST, launch = LAUNCH } = options;
  await writeEif(path, {
    arch: 'x86_64',
    kernel: Buffer.from('kernel'),
    cmdline: 'quiet',
    ramdisks: [
      cpio([file('init', 'init')]),
      cpio([
        file('launch.json', launch),
        ...['rootfs', 'rootfs/etc', 'rootfs/etc/enclaver'].map(folder),
        ...(manifest === '' ? [] : [file('rootfs/etc/enclaver/enclaver.yaml', manifest)]),
      ]),
    ],
    metadata: {
      ImageName: 'hello',
      ImageVersion: '1',
      BuildMetadata: {
        BuildTime: '2026-01-01T00:00:00Z',
        BuildTool: 'test',
        BuildToolVersion: '1',
        OperatingSystem: 'Linux',
        KernelVersion: '6.12',
      },
      DockerInfo: null,
      CustomMetadata: null,
    },
  });
}
