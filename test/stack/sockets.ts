import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { familyOf, nameOf, read } from './processes.ts';

/** Where a process listens. */
export interface Listening {
  /** Name of the program, or of the service where it is one. */
  readonly by: string;
  /** `127.0.0.1:80` with the protocol before it, or the path of a Unix socket. */
  readonly at: string;
}

const LISTEN = '0A';
const UNIX_LISTENS = '00010000';

/** Of the kernel's hexadecimal form, whose words are in the machine's order. */
function addressOf(hex: string): string {
  const [host = '', port = ''] = hex.split(':');
  const bytes = (host.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex').reverse()]);
  const shown = bytes.length === 4 ? bytes.join('.') : `[${Buffer.from(bytes).toString('hex')}]`;
  return `${shown}:${Number.parseInt(port, 16)}`;
}

/** By inode: TCP sockets that listen, UDP sockets, raw sockets, and Unix sockets that listen, of this network namespace. */
function socketsOfKernel(): Map<string, string> {
  const found = new Map<string, string>();
  for (const protocol of ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6']) {
    for (const line of read(`/proc/net/${protocol}`).split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (inode === '' || (protocol.startsWith('tcp') && state !== LISTEN)) continue;
      found.set(inode, `${protocol} ${addressOf(local)}`);
    }
  }
  for (const line of read('/proc/net/unix').split('\n').slice(1)) {
    const [, , , flags, , , inode = '', path = ''] = line.trim().split(/\s+/);
    if (flags === UNIX_LISTENS) found.set(inode, path);
  }
  return found;
}

/** Where a process and all that it has started listen. */
export function listeningOf(pid: number): Listening[] {
  const sockets = socketsOfKernel();
  return familyOf(pid).flatMap((each) => {
    const by = nameOf(each);
    let names: string[] = [];
    try {
      names = readdirSync(`/proc/${each}/fd`);
    } catch {
      // Gone meanwhile
    }
    return names.flatMap((name) => {
      let link = '';
      try {
        link = readlinkSync(`/proc/${each}/fd/${name}`);
      } catch {
        return [];
      }
      const at = sockets.get(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? '');
      return at === undefined ? [] : [{ by, at }];
    });
  });
}

/** This machine's addresses on its networks. */
export function outsideAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
  return all.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address);
}

/** The table of docs/services.md: who may listen, and at what. `<word>` stands for what differs each time. */
export function documentedListeners(): { by: string[]; at: RegExp }[] {
  const document = readFileSync(join(import.meta.dirname, '../../docs/services.md'), 'utf8');
  const section = /^## Listening\n(.*?)^## /ms.exec(document)?.[1] ?? '';
  return [...section.matchAll(/^\| ([^|]+) \| `([^`]+)` \|/gm)].map(([, by = '', at = '']) => ({
    by: by.split(', '),
    at: new RegExp(`^${at.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/<[a-z ]+>/g, '[^/]+')}$`),
  }));
}
