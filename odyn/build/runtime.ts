import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cpio } from '@enclaver/eif';
import { type Arch, NODE_ARCH } from './arch.ts';
import { ODYN_ADDON_PATH, VSOCK_ADDON_PATH } from './bundle.ts';
import { COMMAND_LINE } from './command-line.ts';
import { differingParts, writeCompiledLock } from './compiled-lock.ts';
import { inputsFingerprint } from './fingerprint.ts';
import { kernelImage } from './kernel-image.ts';
import { lacksCodeCache, MAIN_CACHE_PATH } from './loader.ts';
import { collectParts, entriesOf } from './parts.ts';
import { CHECKOUT, findPinned, readPinned, sha256Of } from './pinned.ts';
import { toolVersions } from './toolchain.ts';

/** Where `npm run build` puts the runtime bundles, one folder per architecture. */
const RUNTIMES = join(CHECKOUT, 'dist/runtime');

/** Name of the file that says from what a bundle was made. */
const STAMP = 'inputs.json';

export interface RuntimeOptions {
  arch: Arch;
  /** Folder to put the bundle into; what is there is replaced at once when the new one is complete. */
  output: string;
  /** The program that `/odyn/odyn.js` starts. */
  entry: string;
  /** The compiled addons by their paths in ramdisk 0. */
  addons: Readonly<Record<string, string>>;
  /** Record the compiled parts in the checkout, as a release does after a change of sources or tools. */
  updateLock?: boolean;
}

/** What `npm run build` makes for an architecture. */
export function defaultsFor(arch: Arch): RuntimeOptions {
  return {
    arch,
    output: join(RUNTIMES, arch),
    entry: join(CHECKOUT, 'odyn/src/main.ts'),
    addons: {
      [VSOCK_ADDON_PATH]: join(CHECKOUT, `libs/vsock/build/vsock-${NODE_ARCH[arch]}.node`),
      [ODYN_ADDON_PATH]: join(CHECKOUT, `dist/native/odyn-${NODE_ARCH[arch]}.node`),
    },
  };
}

export interface BuiltRuntime {
  /** False if the bundle was there and made from the same inputs. */
  built: boolean;
  /** False if set-up took other versions than the checkout pins. */
  pinned: boolean;
  /** Compiled parts that are not the bytes that the checkout records. */
  differing: readonly string[];
  bytes: number;
  sha256: string;
}

interface Stamp {
  differing: string[];
  inputs: string;
  bytes: number;
  sha256: string;
}

/** Makes `kernel`, `cmdline`, `ramdisk0.cpio` and `runtime.json`, unless they are there and up to date. */
export async function buildRuntime(options: RuntimeOptions): Promise<BuiltRuntime> {
  const { arch } = options;
  const pinned = await findPinned(arch);
  const toolchain = await toolVersions(arch);
  const inputs = await inputsFingerprint(pinned, toolchain, options);
  const before = await readStamp(options.output, inputs);
  if (before !== undefined && options.updateLock !== true) {
    return { built: false, pinned: pinned.asPublished, ...resultOf(before) };
  }
  await mkdir(dirname(options.output), { recursive: true });
  const scratch = await mkdtemp(join(tmpdir(), 'enclaver-runtime-'));
  // Beside the result, so that putting it in place is a rename
  const fresh = await mkdtemp(`${options.output}.new-`);
  try {
    const parts = await collectParts({ pinned, entry: options.entry, addons: options.addons }, scratch);
    const entries = entriesOf(parts);
    const pieces: Buffer[] = [];
    for await (const piece of cpio(entries)) {
      pieces.push(piece);
    }
    const ramdisk = Buffer.concat(pieces);
    const version = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
    const description = {
      arch,
      enclaverVersion: version.version,
      kernelVersion: pinned.kernelRelease,
      nodeVersion: pinned.nodeVersion,
      toolchain,
      parts: parts
        .map(({ path, mode, data }) => ({ path, size: data.length, sha256: sha256Of(data), mode }))
        .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))),
    };
    if (options.updateLock === true) await writeCompiledLock(arch, toolchain, parts);
    const differing = [...(await differingParts(arch, parts)), ...(lacksCodeCache(arch) ? [MAIN_CACHE_PATH] : [])];
    const stamp: Stamp = { inputs, differing, bytes: ramdisk.length, sha256: sha256Of(ramdisk) };
    await Promise.all([
      writeFile(join(fresh, 'kernel'), kernelImage(arch, await readPinned(pinned.kernel))),
      writeFile(join(fresh, 'cmdline'), COMMAND_LINE[arch]),
      writeFile(join(fresh, 'ramdisk0.cpio'), ramdisk),
      writeFile(join(fresh, 'runtime.json'), `${JSON.stringify(description, undefined, 2)}\n`),
      writeFile(join(fresh, STAMP), `${JSON.stringify(stamp)}\n`),
    ]);
    // Not whatever the umask is: another user's service may read the bundle
    await Promise.all((await readdir(fresh)).map((name) => chmod(join(fresh, name), 0o644)));
    await chmod(fresh, 0o755);
    await rm(options.output, { recursive: true, force: true });
    await rename(fresh, options.output);
    return { built: true, pinned: pinned.asPublished, ...resultOf(stamp) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await rm(fresh, { recursive: true, force: true });
  }
}

function resultOf({ bytes, sha256, differing }: Stamp): Pick<BuiltRuntime, 'bytes' | 'sha256' | 'differing'> {
  return { bytes, sha256, differing };
}

/** What an earlier build left, if it is of the same inputs and its large file is whole. */
async function readStamp(folder: string, inputs: string): Promise<Stamp | undefined> {
  try {
    const stamp = JSON.parse(await readFile(join(folder, STAMP), 'utf8')) as Stamp;
    const { size } = await stat(join(folder, 'ramdisk0.cpio'));
    return stamp.inputs === inputs && size === stamp.bytes && Array.isArray(stamp.differing) ? stamp : undefined;
  } catch {
    // Missing or broken, for whatever reason: it is made anew
    return undefined;
  }
}
