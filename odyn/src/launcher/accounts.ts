import { limits } from '../limits.ts';
import { OdynError } from '../odyn-error.ts';

/** Whom the app runs as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; the primary one is among them, so that files closed to it are closed to the app (CVE-2022-36109). */
  readonly groups: readonly number[];
  readonly home: string;
}

/** Container engines' bound for ids. */
const ID_MAX = 0x7fff_ffff;

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

/**
 * Resolves an image's USER (`name`, `uid`, either with `:group` or `:gid`, or empty for root) against the image's own
 * `etc/passwd` and `etc/group`, as container engines do: the first fitting line counts, a number needs no line, and a
 * group that is named replaces the supplementary ones.
 * @throws OdynError USER_UNKNOWN
 */
export function resolveAccount(user: string, passwd: string, group: string): Account {
  const [userPart = '', groupPart = ''] = user.split(/:(.*)/s);
  const wanted = userPart === '' ? '0' : userPart;
  const number = parseId(wanted);
  const entry = parsePasswd(passwd).find(({ name, uid }) => name === wanted || uid === number);
  const uid = entry?.uid ?? number;
  if (uid === undefined) {
    throw new OdynError('USER_UNKNOWN', `USER "${user}": the image's /etc/passwd has no user "${wanted}"`, {
      remedy: 'add the user to the image, or give a number',
    });
  }
  const home = entry?.home || '/';
  if (groupPart === '') {
    const gid = entry?.gid ?? 0;
    const memberOf = entry === undefined ? [] : parseGroup(group).filter(({ members }) => members.includes(entry.name));
    return { uid, gid, groups: groupList(gid, memberOf), home };
  }
  const gidNumber = parseId(groupPart);
  const gid = parseGroup(group).find(({ name, gid: id }) => name === groupPart || id === gidNumber)?.gid ?? gidNumber;
  if (gid === undefined) {
    throw new OdynError('USER_UNKNOWN', `USER "${user}": the image's /etc/group has no group "${groupPart}"`, {
      remedy: 'add the group to the image, or give a number',
    });
  }
  return { uid, gid, groups: [gid], home };
}

function groupList(gid: number, memberOf: readonly GroupEntry[]): number[] {
  const groups = [...new Set([gid, ...memberOf.map((entry) => entry.gid)])];
  if (groups.length > limits.groups) {
    throw new OdynError(
      'USER_UNKNOWN',
      `the app's user is in ${groups.length} groups, at most ${limits.groups} are possible`,
    );
  }
  return groups;
}

function parseId(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= ID_MAX ? Number(text) : undefined;
}

function parsePasswd(text: string): PasswdEntry[] {
  return rows(text).flatMap(([name = '', , uidText = '', gidText = '', , home = '']) => {
    const uid = parseId(uidText);
    const gid = parseId(gidText);
    return uid === undefined || gid === undefined ? [] : [{ name, uid, gid, home }];
  });
}

function parseGroup(text: string): GroupEntry[] {
  return rows(text).flatMap(([name = '', , gidText = '', members = '']) => {
    const gid = parseId(gidText);
    return gid === undefined ? [] : [{ name, gid, members: members.split(',').filter((member) => member !== '') }];
  });
}

function rows(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}
