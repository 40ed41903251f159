import assert from 'node:assert/strict';
import { encodeControl } from '@enclaver/wire';
import { Events } from '../src/events.ts';
import { enclaveFigures } from '../src/status/figures.ts';
import { StatusBoard } from '../src/status/status-board.ts';
import { FakeParent, StatusReader, startOdyn } from './harness.ts';

describe('figures of the inside', function () {
  this.timeout(30_000);

  async function statusesOf(manifest: string): Promise<StatusReader> {
    const parent = await FakeParent.make();
    await parent.listen();
    const { finished } = await startOdyn(parent, { argv: ['/bin/tail', '-f', '/dev/null'], manifest });
    const status = await StatusReader.open(parent);
    await status.phase('ready');
    status.socket.write(encodeControl({ command: 'stop', graceMs: 0 }));
    await Promise.all([status.final(), finished]);
    await parent.close();
    return status;
  }

  const figuresOf = (status: StatusReader) =>
    status.all.flatMap((one) => (one.status === 'running' && one.figures !== undefined ? [one.figures] : []));

  it('are told where the manifest lets them, without those of parts that are not there', async () => {
    const [figures] = figuresOf(await statusesOf('metrics: true\n'));
    assert.ok(figures !== undefined);
    assert.ok(figures.memoryAvailableBytes <= figures.memoryTotalBytes);
    assert.ok(figures.odynResidentBytes > 10_000_000);
    assert.equal(figures.ingressAccepted, 0);
    assert.ok(!('egressOpened' in figures) && !('kmsAttested' in figures));
  });

  it('are not told otherwise', async () => {
    assert.deepEqual(figuresOf(await statusesOf('')), []);
    assert.deepEqual(figuresOf(await statusesOf('metrics: false\n')), []);
  });

  it('are sums over ports, and name nobody', () => {
    const port = { port: 1, accepted: 5, refused: 1, rateLimited: 2, denied: 3, badHeaders: 4 };
    const egress = { opened: 7, refused: 1, namesRefused: 2, failed: 3 };
    const kms = { kmsAttested: 1, kmsForwarded: 2, kmsRefused: 3, kmsFailed: 4 };
    const figures = enclaveFigures([port, port], egress, kms);
    assert.equal(figures.ingressAccepted, 10);
    assert.equal(figures.ingressRefused, 20);
    assert.deepEqual([figures.egressOpened, figures.egressRefused, figures.egressFailed], [7, 3, 3]);
    assert.equal(figures.kmsFailed, 4);
    assert.ok(Object.values(figures).every((value) => Number.isSafeInteger(value)));
  });

  it('stay in the status that comes after them', () => {
    const events = new Events();
    const board = new StatusBoard(events, { initMs: 1, odynMs: 2 });
    const figures = enclaveFigures([], undefined, undefined);
    events.emit('figures', figures);
    events.emit('ready');
    assert.deepEqual(board.current.status === 'running' && board.current.figures, figures);
    events.emit('exited', { code: 0 });
    events.emit('figures', figures);
    assert.equal(board.current.status, 'exited');
  });
});
