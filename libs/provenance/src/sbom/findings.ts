import { posix } from 'node:path';
import { showName } from '@enclaver/eif';
import { sbomLimits } from '../limits.ts';

/** A package that a root file system says it has. */
export interface Package {
  /** Type of its package URL. */
  type: 'apk' | 'deb' | 'golang' | 'npm' | 'pypi';
  namespace?: string;
  name: string;
  version: string;
  qualifiers?: Record<string, string>;
  /** As the package says it. */
  license?: string;
  /** The file that says so. */
  path: string;
}

/** The fields of `/etc/os-release` that name the system. */
export interface OperatingSystem {
  id: string;
  name: string;
  version?: string;
}

/** Collects what readers find, within bounds. What a hostile file system overdoes is counted or noted, never an error. */
export class Findings {
  readonly packages: Package[] = [];
  readonly notes: string[] = [];
  os: OperatingSystem | undefined;
  /** Packages beyond the bound. */
  unlisted = 0;
  readonly #owned = new Set<string>();
  readonly #folders = new Set<string>();
  #full = false;

  add(found: Package): void {
    const fields = [found.name, found.version, found.namespace ?? 'x', found.license ?? 'x'];
    if (!fields.every(isSound))
      this.note(`${showPath(found.path)}: a package with a name, version or licence that is none`);
    else if (this.packages.length === sbomLimits.packages) this.unlisted += 1;
    else this.packages.push(found);
  }

  /** A file that belongs to a package. */
  own(path: string): void {
    this.#claim(this.#owned, path);
  }

  /** A folder that belongs to one, with all that is in it. */
  ownFolder(path: string): void {
    this.#claim(this.#folders, path);
  }

  isOwned(path: string): boolean {
    const name = canonical(path);
    if (this.#owned.has(name)) return true;
    for (let at = name.lastIndexOf('/'); at > 0; at = name.lastIndexOf('/', at - 1)) {
      if (this.#folders.has(name.slice(0, at))) return true;
    }
    return false;
  }

  #claim(paths: Set<string>, path: string): void {
    if (this.#owned.size + this.#folders.size < sbomLimits.ownedPaths) {
      paths.add(canonical(path));
    } else if (!this.#full) {
      this.#full = true;
      this.note(`packages claim more than ${sbomLimits.ownedPaths} files; the others count as of no package`);
    }
  }

  note(text: string): void {
    if (this.notes.length < sbomLimits.notes) this.notes.push(text);
  }
}

/** A path in a note: bytes that are no text shown as such, and not longer than a field. */
export function showPath(path: string): string {
  return showName(Buffer.from(path, 'latin1')).slice(0, sbomLimits.fieldChars);
}

/** Package lists name files below `/lib` that stand below `/usr/lib` since the folders were merged, and the other way round. */
function canonical(path: string): string {
  const name = posix.normalize(`/${path}`).slice(1);
  return name.replace(/^usr\/(?=(?:bin|sbin|lib|lib32|lib64|libx32)\/)/, '');
}

function isSound(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is sought
  return text.length > 0 && text.length <= sbomLimits.fieldChars && !/[\u0000-\u001f\u007f]/.test(text);
}
