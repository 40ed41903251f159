import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parentCid } from '../src/bootstrap/cmdline.ts';
import { findInRoot } from '../src/bootstrap/in-root.ts';
import { missingListeners } from '../src/ingress/listeners.ts';
import { listeningPorts } from '../src/ingress/socket-table.ts';
import { resolveAccount } from '../src/launcher/accounts.ts';
import { appEnvironment } from '../src/launcher/environment.ts';
import { stopSignalNumber } from '../src/launcher/signals.ts';

const PASSWD =
  '# comment\nroot:x:0:0:root:/root:/bin/sh\n\nweb:x:33:44::/srv/web:/bin/sh\nbroken\nodd:x:-1:1::/:\nbare:x:5:6:::\n';
const GROUP = 'root:x:0:\nweb:x:44:\nlogs:x:50:web,bare\nmore:x:51:other,web\nweb2:x:44:web\n';

describe('USER of an image', () => {
  const cases: [user: string, uid: number, gid: number, groups: number[], home: string][] = [
    ['', 0, 0, [0], '/root'],
    ['root', 0, 0, [0], '/root'],
    ['web', 33, 44, [44, 50, 51], '/srv/web'],
    ['33', 33, 44, [44, 50, 51], '/srv/web'],
    ['1234', 1234, 0, [0], '/'],
    ['1234:77', 1234, 77, [77], '/'],
    ['web:logs', 33, 50, [50], '/srv/web'],
    ['web:0', 33, 0, [0], '/srv/web'],
    ['bare', 5, 6, [6, 50], '/'],
    [':logs', 0, 50, [50], '/root'],
  ];
  for (const [user, uid, gid, groups, home] of cases) {
    it(`"${user}"`, () => assert.deepEqual(resolveAccount(user, PASSWD, GROUP), { uid, gid, groups, home }));
  }
  for (const user of ['ghost', 'web:ghosts', 'odd', '99999999999', '-1', '1.5']) {
    it(`refuses "${user}"`, () => {
      assert.throws(() => resolveAccount(user, PASSWD, GROUP), { code: 'USER_UNKNOWN' });
    });
  }
  it('needs no passwd file for root or a number', () => {
    assert.deepEqual(resolveAccount('', '', ''), { uid: 0, gid: 0, groups: [0], home: '/' });
    assert.deepEqual(resolveAccount('7:8', '', ''), { uid: 7, gid: 8, groups: [8], home: '/' });
  });
});

describe('environment of the app', () => {
  it('keeps what the image sets, but for the proxy', () => {
    const env = appEnvironment({
      image: ['PATH=/x', 'HOME=/h', 'HOSTNAME=n', 'http_proxy=mine'],
      home: '/root',
      proxyPort: 9,
    });
    assert.equal(env.PATH, '/x');
    assert.equal(env.HOME, '/h');
    assert.equal(env.HOSTNAME, 'n');
    assert.equal(env.http_proxy, 'http://127.0.0.1:9/');
  });
  it('names the KMS proxy, and gives its pair to all of AWS where that is safe', () => {
    const kms = { port: 9, credentials: { accessKeyId: 'ENCLAVER1', secretAccessKey: 's' }, forAllOfAws: false };
    const image = ['AWS_ENDPOINT_URL_KMS=mine', 'AWS_ACCESS_KEY_ID=mine'];
    const env = appEnvironment({ image, home: '/', kms });
    assert.equal(env.AWS_KMS_ENDPOINT, 'http://127.0.0.1:9');
    assert.equal(env.AWS_ENDPOINT_URL_KMS, 'http://127.0.0.1:9');
    assert.equal(env.ENCLAVER_KMS_ACCESS_KEY_ID, 'ENCLAVER1');
    assert.equal(env.ENCLAVER_KMS_SECRET_ACCESS_KEY, 's');
    assert.equal(env.AWS_ACCESS_KEY_ID, 'mine');
    const alone = appEnvironment({ image: [], home: '/', kms: { ...kms, forAllOfAws: true } });
    assert.deepEqual([alone.AWS_ACCESS_KEY_ID, alone.AWS_SECRET_ACCESS_KEY], ['ENCLAVER1', 's']);
  });
  it('has no proxy without egress', () => {
    const env = appEnvironment({ image: ['http_proxy=mine'], home: '/root' });
    assert.equal(env.http_proxy, 'mine');
    assert.ok(!('HTTPS_PROXY' in env));
  });
});

describe('stop signal', () => {
  const cases: [string, number][] = [
    ['SIGTERM', 15],
    ['SIGQUIT', 3],
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['SIGRTMAX-1', 63],
  ];
  for (const [name, number] of cases) it(name, () => assert.equal(stopSignalNumber(name), number));
  for (const name of ['SIGNONE', 'SIGRTMIN+31', 'SIGRTMAX-40']) {
    it(`refuses ${name}`, () => {
      assert.throws(() => stopSignalNumber(name), { code: 'SIGNAL_UNKNOWN' });
    });
  }
});

describe('listening ports', () => {
  const row = (address: string, port: string, state: string) =>
    `   0: ${address}:${port} 00000000:0000 ${state} 00000000:00000000 00:00000000 0 0 1 1`.padEnd(149).concat('\n');
  const HEAD = '  sl  local_address rem_address   st\n';
  let procNet: string;
  before(async () => {
    procNet = await mkdtemp(join(tmpdir(), 'odyn-net-'));
  });
  after(() => rm(procNet, { recursive: true, force: true }));

  it('are those a connection to 127.0.0.1 reaches', async () => {
    const listeners = [
      row('00000000', '1F90', '0A'),
      row('0100007F', '0050', '0A'),
      row('0200000A', '0052', '0A'),
      row('00000000000000000000000000000000', '0053', '0A'),
      row('00000000000000000000000001000000', '0054', '0A'),
      row('0000000000000000FFFF00000100007F', '0055', '0A'),
    ].join('');
    const table = HEAD + listeners + row('0100007F', '0051', '01');
    for (const pieces of [[table], [...table]]) {
      assert.deepEqual(
        [...listeningPorts(pieces)].sort((a, b) => a - b),
        [0x50, 0x53, 0x55, 8080],
      );
    }
    await writeFile(join(procNet, 'tcp'), table);
    assert.deepEqual(missingListeners([8080, 0x51, 0x52], procNet), [0x51, 0x52]);
  });

  it('are found before the connections, of which there may be any number', async () => {
    const connections = row('0100007F', '0051', '06').repeat(120_000);
    await writeFile(join(procNet, 'tcp'), HEAD + row('0100007F', '0050', '0A') + connections);
    assert.deepEqual(missingListeners([0x50, 0x51], procNet), [0x51]);
    let taken = 0;
    const table = function* (): Generator<string> {
      for (const piece of [HEAD, row('0100007F', '0050', '0A'), row('0100007F', '0051', '06'), connections]) {
        taken++;
        yield piece;
      }
    };
    assert.deepEqual([...listeningPorts(table())], [0x50]);
    assert.equal(taken, 3);
  });

  it('are looked for in vain, and nothing worse, when no descriptor is left', async () => {
    await writeFile(join(procNet, 'tcp'), HEAD + row('0100007F', '0050', '0A'));
    const program = `
      import { openSync } from 'node:fs';
      import { missingListeners } from '${pathToFileURL(join(import.meta.dirname, '../src/ingress/listeners.ts'))}';
      const look = () => missingListeners([0x50, 0x51], '${procNet}');
      const seen = [look()];
      try { for (;;) openSync('/dev/null'); } catch {}
      seen.push(look());
      console.log(JSON.stringify(seen));`;
    const words = ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, '--input-type=module', '-e', program];
    assert.equal(execFileSync('/bin/sh', words, { encoding: 'utf8' }), '[[81],[80,81]]\n');
  });
});

describe('kernel command line', () => {
  it('names the parent, 3 by default', () => {
    assert.equal(parentCid('quiet console=ttyS0'), 3);
    assert.equal(parentCid('quiet enclaver.parent_cid=2'), 2);
    assert.equal(parentCid('enclaver.parent_cid=2 enclaver.parent_cid=5'), 5);
  });
  it('is refused when that is no CID', () => {
    for (const value of ['', 'x', '-1', '4294967295']) {
      assert.throws(() => parentCid(`enclaver.parent_cid=${value}`), { code: 'CMDLINE_INVALID' });
    }
  });
});

describe('a file of the app', () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'odyn-root-'));
    await mkdir(join(root, 'store'));
    await mkdir(join(root, 'etc'));
    await writeFile(join(root, 'store/passwd'), 'mine');
    await symlink('/store/passwd', join(root, 'etc/absolute'));
    await symlink('../../../../store/passwd', join(root, 'etc/upward'));
    await symlink('loop', join(root, 'etc/loop'));
    await symlink('/store', join(root, 'folder'));
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('is found below its root, whatever links say', () => {
    for (const path of ['store/passwd', 'etc/absolute', 'etc/upward', 'folder/passwd']) {
      assert.equal(findInRoot(root, path), join(root, 'store/passwd'), path);
    }
    assert.equal(findInRoot(root, 'etc/none'), undefined);
  });
  it('is refused when links go round in circles', () => {
    assert.throws(() => findInRoot(root, 'etc/loop'), { code: 'FILE_UNREADABLE' });
  });
});
