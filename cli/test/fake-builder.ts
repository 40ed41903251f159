import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus, type OperationHandlers } from '@enclaver/bus';
import { NatsProcess } from '../../libs/bus/test/nats-process.ts';

/** A real bus, on which a test gives the builder's answers. */
export class FakeBuilder implements AsyncDisposable {
  readonly bus: Bus;
  /** For the command. */
  readonly env: { ENCLAVER_BUS: string };
  readonly #nats: NatsProcess;
  readonly #folder: string;

  private constructor(nats: NatsProcess, bus: Bus, folder: string) {
    this.bus = bus;
    this.env = { ENCLAVER_BUS: join(folder, 'bus.json') };
    this.#nats = nats;
    this.#folder = folder;
  }

  static async start(answers: (bus: Bus) => Partial<OperationHandlers<'builder'>>): Promise<FakeBuilder> {
    const nats = await NatsProcess.start();
    const bus = await Bus.connect({ source: 'test/builder', credentials: nats.credentials });
    await bus.serve('builder', '0.1.0', { ...({} as OperationHandlers<'builder'>), ...answers(bus) });
    const builder = new FakeBuilder(nats, bus, await mkdtemp(join(tmpdir(), 'fake-builder-')));
    await writeFile(builder.env.ENCLAVER_BUS, JSON.stringify(nats.as('cli')), { mode: 0o600 });
    return builder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
    await this.#nats[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true });
  }
}
