import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { limits } from '../src/limits.ts';
import { LogPrinter } from '../src/output/logs.ts';

type Bus = ConstructorParameters<typeof LogPrinter>[0];

/** The log of an enclave that has ended: `kept` messages, each a second after the other, and then nothing. */
function endedLog(kept: number): Bus {
  const closed = Promise.withResolvers<void>();
  let isClosed = false;
  const watch = {
    async *[Symbol.asyncIterator]() {
      for (let index = 0; index < kept && !isClosed; index++) {
        yield { lines: [{ stream: 'stdout', text: `line ${index}` }] };
        mock.timers.tick(1_000);
      }
      await closed.promise;
    },
    finish: async () => undefined,
    close: async () => {
      isClosed = true;
      closed.resolve();
    },
  };
  return { logs: () => watch } as unknown as Bus;
}

interface Output {
  printed: string[];
  told: string[];
  /** Whether who reads takes more at once. */
  hasRoom: boolean;
}

describe('printing the log of an enclave that has ended', () => {
  const seconds = limits.logEndMs / 1_000;

  /** Follows such a log to its end; `meanwhile` is over when it is to be ended. */
  async function follow(kept: number, meanwhile: (output: Output) => Promise<void>, hasRoom = true): Promise<Output> {
    const output: Output = { printed: [], told: [], hasRoom };
    mock.timers.enable({ apis: ['setTimeout'] });
    mock.method(process.stdout, 'write', (text: Uint8Array) => output.printed.push(`${text}`) > 0 && output.hasRoom);
    mock.method(process.stderr, 'write', (text: string) => output.told.push(text) > 0);
    try {
      const printer = new LogPrinter(endedLog(kept), { id: 'e-000000000001', follow: true });
      const ends = [printer.follow(), printer.finish()];
      await meanwhile(output);
      await printer.close();
      await Promise.all(ends);
      return output;
    } finally {
      mock.restoreAll();
      mock.timers.reset();
    }
  }

  it('goes on as long as lines come, however long all of them take', async () => {
    const kept = 10 * seconds;
    const { printed, told } = await follow(kept, async (output) => {
      while (output.printed.length < kept && output.told.length === 0) await undefined;
    });
    assert.deepEqual(told, []);
    assert.equal(printed.length, kept);
  });

  it('waits for who reads it, as for a pager that nobody turns', async () => {
    const { printed, told } = await follow(
      3,
      async (output) => {
        while (output.printed.length < 1) await undefined;
        for (let second = 0; second < 10 * seconds; second++) mock.timers.tick(1_000);
        output.hasRoom = true;
        process.stdout.emit('drain');
        while (output.printed.length < 3 && output.told.length === 0) await undefined;
      },
      false,
    );
    assert.deepEqual(told, []);
    assert.equal(printed.length, 3);
  });

  it('gives up, and says so, when none has come for a while', async () => {
    const { told } = await follow(1, async ({ printed }) => {
      while (printed.length < 1) await undefined;
      for (let second = 0; second < 2 * seconds; second++) {
        mock.timers.tick(1_000);
        await undefined;
      }
    });
    assert.deepEqual(told, ['[the last log lines did not arrive]\n']);
  });
});
