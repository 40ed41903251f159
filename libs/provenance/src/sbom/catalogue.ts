import { type Eif, type RamdiskFile, ramdiskFiles, S_IFMT, S_IFREG } from '@enclaver/eif';
import { sbomLimits } from '../limits.ts';
import { readApkInstalled } from './apk.ts';
import { readDpkgList, readDpkgStatus, readDpkgSums } from './dpkg.ts';
import { Findings, showPath } from './findings.ts';
import { readGoBuildInfo } from './go.ts';
import { findGoBuildInfo } from './go-scan.ts';
import { readPackageJson } from './npm.ts';
import { readOsRelease } from './os-release.ts';
import { readPythonMetadata, readPythonRecord } from './python.ts';

type Reader = (path: string, bytes: Buffer, findings: Findings) => void;

/** Who reads which file, by its path below the root. */
const readers: readonly [RegExp, Reader, number][] = [
  [/^(?:etc|usr\/lib)\/os-release$/, readOsRelease, sbomLimits.metadataBytes],
  [/^var\/lib\/dpkg\/status$/, readDpkgStatus, sbomLimits.databaseBytes],
  [/^var\/lib\/dpkg\/status\.d\/[^/]+\.md5sums$/, readDpkgSums, sbomLimits.metadataBytes],
  [/^var\/lib\/dpkg\/status\.d\/[^/]+$/, readDpkgStatus, sbomLimits.metadataBytes],
  [/^var\/lib\/dpkg\/info\/[^/]+\.list$/, readDpkgList, sbomLimits.databaseBytes],
  [/^(?:usr\/)?lib\/apk\/db\/installed$/, readApkInstalled, sbomLimits.databaseBytes],
  [/(?:^|\/)package\.json$/, readPackageJson, sbomLimits.metadataBytes],
  [/\.dist-info\/METADATA$|\.egg-info\/PKG-INFO$|\.egg-info$/, readPythonMetadata, sbomLimits.metadataBytes],
  [/\.dist-info\/RECORD$/, readPythonRecord, sbomLimits.metadataBytes],
];

/** What is known and cannot be read here. The SBOM says so. */
const RPM = /^(?:var\/lib|usr\/lib\/sysimage)\/rpm\/(?:rpmdb\.sqlite|Packages|Packages\.db)$/;
const JAVA = /\.(?:jar|war|ear)$/;

/** Regular files of the app's root file system, each once; the path is a string of bytes (latin1), without `rootfs/`. */
export async function* rootFiles(eif: Eif): AsyncGenerator<{ path: string; file: RamdiskFile }> {
  const [, ...apps] = eif.sections.filter(({ type }) => type === 'ramdisk');
  for (const ramdisk of apps) {
    for await (const file of ramdiskFiles(eif, ramdisk)) {
      const path = file.path.toString('latin1');
      if ((file.mode & S_IFMT) !== S_IFREG || file.hardLinkOf !== undefined || !path.startsWith('rootfs/')) continue;
      yield { path: path.slice('rootfs/'.length), file };
    }
  }
}

/** Reads every package database of the app's root file system. What is unreadable in one is a note. Throws EifError. */
export async function catalogue(eif: Eif): Promise<Findings> {
  const findings = new Findings();
  let budget: number = sbomLimits.metadataBytesInAll;
  let archives = 0;
  for await (const { path, file } of rootFiles(eif)) {
    if (RPM.test(path)) findings.note(`${showPath(path)}: an RPM database, its packages are not catalogued`);
    if (JAVA.test(path)) archives += 1;
    const [, read, most] = readers.find(([pattern]) => pattern.test(path)) ?? [];
    if (read !== undefined && most !== undefined) {
      if (file.size > Math.min(most, budget)) {
        findings.note(`${showPath(path)}: ${file.size} bytes, more than is read`);
        continue;
      }
      budget -= file.size;
      read(path, await collect(file), findings);
    } else if ((file.mode & 0o111) !== 0) {
      const info = await findGoBuildInfo(file.data, sbomLimits.metadataBytes);
      if (info !== undefined) readGoBuildInfo(path, info, findings, showPath(path));
    }
  }
  if (archives > 0) findings.note(`${archives} Java archives, what is in them is not catalogued`);
  return findings;
}

async function collect(file: RamdiskFile): Promise<Buffer> {
  const bytes = Buffer.alloc(file.size);
  let used = 0;
  for await (const piece of file.data) used += piece.copy(bytes, used);
  return bytes;
}
