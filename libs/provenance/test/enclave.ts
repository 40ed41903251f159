import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type CpioEntry, cpio, type Measurements, S_IFDIR, S_IFREG, writeEif } from '@enclaver/eif';

/** Files of a root file system by path; a path that begins with `!` is executable. */
export type Tree = Readonly<Record<string, string | Uint8Array>>;

/** Writes a small EIF whose app has these files. */
export async function enclave(
  path: string,
  tree: Tree,
): Promise<{ eif: string; eifSha256: string; measurements: Measurements }> {
  const files = Object.entries(tree).map(
    ([name, data]): CpioEntry => ({
      path: `rootfs/${name.replace('!', '')}`,
      mode: S_IFREG | (name.startsWith('!') ? 0o755 : 0o644),
      data: Buffer.from(data),
    }),
  );
  const { measurements } = await writeEif(path, {
    arch: 'x86_64',
    kernel: Buffer.from('kernel'),
    cmdline: 'reboot=k',
    ramdisks: [
      cpio([{ path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('init') }]),
      cpio([{ path: 'rootfs', mode: S_IFDIR | 0o755 }, ...files]),
    ],
    metadata: {
      ImageName: 'test',
      ImageVersion: '1',
      BuildMetadata: {
        BuildTime: '1970-01-01T00:00:00Z',
        BuildTool: 'test',
        BuildToolVersion: '1',
        OperatingSystem: 'Linux',
        KernelVersion: '6',
      },
      DockerInfo: null,
      CustomMetadata: null,
    },
  });
  return {
    eif: path,
    eifSha256: createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
    measurements,
  };
}
