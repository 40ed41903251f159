import assert from 'node:assert/strict';
import { execSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UnroutableLog } from '../src/egress/unroutable.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { textOf } from './egress-proxy.ts';

describe('what finds no route', () => {
  it('is told with its count, once for many, and counted to the end', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'odyn-route-'));
    // In one step each, as the kernel's own: whoever reads meanwhile finds the old one or the new one
    const put = async (name: string, text: string): Promise<void> => {
      await writeFile(join(folder, 'new'), text);
      await rename(join(folder, 'new'), join(folder, name));
    };
    const count = async (v4: number, v6: number): Promise<void> => {
      await put('snmp', `Ip: Forwarding OutNoRoutes\nIp: 1 ${v4}\n`);
      await put('snmp6', `Ip6InReceives \t7\nIp6OutNoRoutes \t${v6}\n`);
    };
    const ring = new LogRing(1 << 16);
    await count(0, 0);
    const log = new UnroutableLog(new OdynLog(ring), { everyMs: 20, folder });
    await count(900, 100);
    const until = async (text: RegExp): Promise<void> => {
      while (!text.test(textOf(ring))) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await until(/"egress refused".*"count":/);
    await count(901, 100);
    assert.equal(log.close(), 1001);
    const told = [...textOf(ring).matchAll(/"count":(\d+)/g)].map(([, number]) => Number(number));
    assert.equal(
      told.reduce((sum, each) => sum + each, 0),
      1001,
    );
    assert.ok(told.length <= 4, `${told.length} lines`);
    await rm(folder, { recursive: true });
  });

  it('is told later where no descriptor is left to look', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'odyn-route-'));
    await writeFile(join(folder, 'snmp'), 'Ip: Forwarding OutNoRoutes\nIp: 1 3\n');
    const prlimit = `prlimit --pid ${process.pid} --nofile`;
    const before = execSync(`${prlimit} --output=SOFT --noheadings`, { encoding: 'utf8' }).trim();
    const ring = new LogRing(1 << 16);
    // Of one process: nothing can be started meanwhile
    const limited = spawn('sh', ['-c', `${prlimit}=4: && sleep 0.3; ${prlimit}=${before}:`], { stdio: 'ignore' });
    while (hasDescriptors()) await new Promise((resolve) => setTimeout(resolve, 5));
    const log = new UnroutableLog(new OdynLog(ring), { everyMs: 20, folder });
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (limited.exitCode === null) await once(limited, 'exit');
    while (!textOf(ring).includes('"count":3')) await new Promise((resolve) => setTimeout(resolve, 10));
    log.close();
    await rm(folder, { recursive: true });
  });
});

function hasDescriptors(): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return true;
  } catch {
    return false;
  }
}
