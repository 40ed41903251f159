import type { Arch } from '@enclaver/eif';
import * as z from 'zod';
import { BuilderError } from './builder-error.ts';

/** What images are built for, in the words of container engines. */
export const platformSchema = z.enum(['linux/amd64', 'linux/arm64']);

export type Platform = z.infer<typeof platformSchema>;

const ARCHES: Readonly<Record<Platform, Arch>> = { 'linux/amd64': 'x86_64', 'linux/arm64': 'aarch64' };

/** What EIF headers and Linux call it. */
export function archOf(platform: Platform): Arch {
  return ARCHES[platform];
}

/** This machine's own, which of an image for several platforms is the one that container engines take. */
export function hostPlatform(): Platform {
  return process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';
}

/** Which of several is meant: the one asked for; else the only one that enclaves run on, or this machine's. Others tell of images, such as attestations. */
export function choosePlatform(there: readonly (string | undefined)[], asked: Platform | undefined): string {
  const usable = new Set(there.filter((name) => platformSchema.safeParse(name).success));
  const [alone] = usable;
  return asked ?? (usable.size === 1 ? alone : undefined) ?? hostPlatform();
}

/** The platform of an image. Throws IMAGE_ARCH for one that enclaves do not run on, or that is not the one asked for. */
export function checkPlatform(os: string, architecture: string, what: string, wanted?: Platform): Platform {
  const found = platformSchema.safeParse(`${os}/${architecture}`);
  if (found.success && (wanted === undefined || found.data === wanted)) return found.data;
  throw wrongPlatform(what, `${os}/${architecture}`, wanted);
}

/** @param found platforms that are there, for people */
export function wrongPlatform(what: string, found: string, wanted: Platform | undefined): BuilderError {
  const allowed = wanted ?? platformSchema.options.join(' or ');
  return new BuilderError('IMAGE_ARCH', `${what} is for ${found}; allowed is ${allowed}`, {
    remedy:
      wanted === undefined
        ? `give an image for ${allowed} (docker build --platform ${hostPlatform()})`
        : `give an image for ${wanted}, or build without --platform to take what is there`,
  });
}
