import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { ChannelListener, connectChannel, type DescriptorChannel } from '../src/index.ts';
import { limits } from '../src/limits.ts';
import { Bench, until } from './support.ts';

interface End {
  channel: DescriptorChannel;
  got: { message: unknown; descriptors: number[] }[];
  closed: boolean;
}

describe('channels for descriptors', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(async () => await bench.end());

  const open = (path: string): { listener: ChannelListener; ends: End[] } => {
    const ends: End[] = [];
    const listener = new ChannelListener(path, (begin) => ends.push(keep(begin)));
    bench.later(() => listener.close());
    return { listener, ends };
  };

  const keep = (begin: (events: Parameters<typeof connectChannel>[1]) => DescriptorChannel): End => {
    const end: Omit<End, 'channel'> = { got: [], closed: false };
    const channel = begin({
      onMessage: (message, descriptors) => end.got.push({ message, descriptors }),
      onClose: () => {
        end.closed = true;
      },
    });
    bench.later(() => channel.close());
    return Object.assign(end, { channel });
  };

  const connectTo = (path: string): End =>
    keep((events) => connectChannel(path, events) ?? assert.fail('nobody listens'));

  it('carries messages in order, with descriptors of the same open files', async () => {
    const { ends } = open(bench.path('c'));
    const near = connectTo(bench.path('c'));
    writeFileSync(bench.path('file'), 'content');
    const fd = openSync(bench.path('file'), 'r');
    for (let i = 0; i < 500; i++) near.channel.send({ i, text: 'x'.repeat(2_000) }, i === 7 ? [fd] : []);
    await until('all have come', () => ends[0]?.got.length === 500);
    closeSync(fd);
    assert.deepEqual(
      ends[0]?.got.map(({ message }) => (message as { i: number }).i),
      Array.from({ length: 500 }, (_, i) => i),
    );
    const [received = -1] = ends[0]?.got[7]?.descriptors ?? [];
    assert.equal(readFileSync(received, 'utf8'), 'content');
    closeSync(received);
  });

  it('carries a message as long as one may be', async () => {
    const { ends } = open(bench.path('c'));
    const near = connectTo(bench.path('c'));
    const text = 'x'.repeat(limits.channelMessageBytes - JSON.stringify({ text: '' }).length);
    near.channel.send({ text }, []);
    await until('it has come', () => ends[0]?.got.length === 1);
    assert.deepEqual(ends[0]?.got[0]?.message, { text });
  });

  it('tells both when one closes, and finds nobody after that', async () => {
    const { listener, ends } = open(bench.path('c'));
    const near = connectTo(bench.path('c'));
    near.channel.send({});
    await until('it has come', () => ends[0]?.got.length === 1);
    near.channel.close();
    await until('the other knows', () => ends[0]?.closed === true);
    assert.ok(near.closed);
    listener.close();
    assert.equal(connectChannel(bench.path('c'), { onMessage: () => {}, onClose: () => {} }), undefined);
    assert.equal(connectChannel(bench.path('none'), { onMessage: () => {}, onClose: () => {} }), undefined);
  });

  it('takes no place that is taken', () => {
    open(bench.path('c'));
    assert.throws(() => open(bench.path('c')), { code: 'ADDRESS_IN_USE' });
  });

  it('closes on what is no message, and keeps no descriptor of it', async () => {
    const { addon } = await import('../src/addon.ts');
    const { sockaddr } = await import('../src/address.ts');
    const { ends } = open(bench.path('c'));
    const raw = addon().channelConnect(sockaddr({ type: 'unix', path: bench.path('c') }));
    writeFileSync(bench.path('file'), '');
    const fd = openSync(bench.path('file'), 'r');
    addon().channelSend(raw, Buffer.from('{no json'), [fd]);
    closeSync(fd);
    await until('it is closed', () => ends[0]?.closed === true);
    closeSync(raw);
    const { ino } = fstatSync(openSync(bench.path('file'), 'r'));
    const open_ = readdirSync('/proc/self/fd').filter((name) => inodeOf(Number(name)) === ino);
    assert.equal(open_.length, 1);
  });
});

function inodeOf(fd: number): number | undefined {
  try {
    return fstatSync(fd).ino;
  } catch {
    return undefined; // the folder's own, closed by now
  }
}
