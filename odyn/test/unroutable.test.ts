import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UnroutableLog } from '../src/egress/unroutable.ts';
import { LogRing } from '../src/logs/log-ring.ts';
import { OdynLog } from '../src/logs/odyn-log.ts';
import { textOf } from './egress-proxy.ts';

describe('what finds no route', () => {
  it('is told with its count, once for many, and counted to the end', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'odyn-route-'));
    const count = (v4: number, v6: number): Promise<unknown> =>
      Promise.all([
        writeFile(join(folder, 'snmp'), `Ip: Forwarding OutNoRoutes\nIp: 1 ${v4}\n`),
        writeFile(join(folder, 'snmp6'), `Ip6InReceives \t7\nIp6OutNoRoutes \t${v6}\n`),
      ]);
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
});
