import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findInRoot } from '../bootstrap/in-root.ts';
import { OdynError } from '../odyn-error.ts';

/** As init sets it. */
export const HOSTNAME = 'enclave';

/**
 * What container engines put over an image's own files. The hostname is loopback here: an app that listens at the address of its
 * name is to be reached, and there is no other address.
 *
 * The resolver is the one of transparent egress. Without it nobody listens there, and a lookup fails at once.
 */
const FILES: Readonly<Record<string, string>> = {
  hosts: `127.0.0.1\tlocalhost ${HOSTNAME}
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`,
  hostname: `${HOSTNAME}\n`,
  'resolv.conf': 'nameserver 127.0.0.1\n',
};

/** Writes them into the root of an app that does not run yet, over whatever the image has there. Throws ETC_UNWRITABLE. */
export function writeEtcFiles(root: string): void {
  const folder = findInRoot(root, 'etc') ?? join(root, 'etc');
  for (const [name, text] of Object.entries(FILES)) {
    const path = join(folder, name);
    try {
      mkdirSync(folder, { recursive: true });
      // A link is replaced and not followed: many images link resolv.conf to the file of a service that does not run here
      rmSync(path, { force: true });
      writeFileSync(path, text, { flag: 'wx', mode: 0o644 });
    } catch (cause) {
      throw new OdynError('ETC_UNWRITABLE', `cannot write /etc/${name} of the app: ${(cause as Error).message}`, {
        cause,
        remedy: 'the image must have no folder of this name; a full machine needs more memory',
      });
    }
  }
}
