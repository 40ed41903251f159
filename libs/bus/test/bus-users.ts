import assert from 'node:assert/strict';
import { connect, ErrorCode, type NatsConnection, NatsError } from 'nats';
import { Bus, type BusCredentials, type BusUser, busUsers, toErrorData } from '../src/index.ts';
import { NatsProcess } from './nats-process.ts';
import { record } from './record.ts';

/** A bus with all of its users, each with its own permissions and no more, and services that answer. */
export class BusUsers {
  /** What nobody waited for and was refused, since the test began. */
  readonly refused: unknown[] = [];
  /** Ids of the enclaves that were to be stopped, since the test began. */
  readonly stopped: string[] = [];
  readonly #buses = new Map<BusUser, Bus>();
  readonly #connections: NatsConnection[] = [];
  #nats: NatsProcess | undefined;

  /** Registers what mocha calls. */
  static use(): BusUsers {
    const users = new BusUsers();
    before(() => users.#start());
    beforeEach(() => {
      users.stopped.length = 0;
      users.refused.length = 0;
    });
    afterEach(async () => {
      for (const connection of users.#connections.splice(0)) await connection.close();
    });
    after(async () => {
      for (const bus of users.#buses.values()) await bus.close();
      await users.#nats?.[Symbol.asyncDispose]();
    });
    return users;
  }

  readonly as = (user: BusUser): Bus => this.#buses.get(user) ?? assert.fail(`${user} is not there`);

  readonly credentialsOf = (user: BusUser): BusCredentials => this.#server.as(user);

  /** A client of NATS with the permissions of this user, until the test ends. */
  readonly raw = (user: BusUser): Promise<NatsConnection> => this.#connect(this.#server.as(user), `_INBOX_${user}`);

  /** One that may do everything. */
  readonly administrator = (): Promise<NatsConnection> => this.#connect(this.#server.credentials, '_INBOX');

  get #server(): NatsProcess {
    return this.#nats ?? assert.fail('the server is not there');
  }

  async #connect({ url, user = '', password = '' }: BusCredentials, inboxPrefix: string): Promise<NatsConnection> {
    const connection = await connect({ servers: url, user, pass: password, inboxPrefix });
    this.#connections.push(connection);
    return connection;
  }

  async #start(): Promise<void> {
    const nats = await NatsProcess.start();
    this.#nats = nats;
    // All at once, as a stack starts: the others wait until the supervisor has made what they read
    const opening = busUsers.map(async (user) => {
      const bus = await Bus.connect({ source: user, credentials: nats.as(user) });
      bus.onRefused((error) => this.refused.push(toErrorData(error)));
      this.#buses.set(user, bus);
    });
    await Promise.all(opening);
    const enclave = record;
    await this.as('supervisor').serve('supervisor', '0.1.0', {
      run: async () => ({ enclave }),
      update: async () => ({ enclave, replaces: enclave }),
      stop: async ({ id }) => {
        this.stopped.push(id);
        return { enclave };
      },
      list: async () => ({ enclaves: [enclave] }),
      describe: async () => ({ enclave }),
    });
    await this.as('builder').serve('builder', '0.1.0', {
      build: () => Promise.reject(new Error('not asked for')),
      verifyBuild: () => Promise.reject(new Error('not asked for')),
      cancel: async () => ({ cancelled: false }),
      extract: () => Promise.reject(new Error('not asked for')),
    });
    await this.as('outer-proxy').announce('outer-proxy', '0.1.0');
    await this.as('log-relay').announce('log-relay', '0.1.0');
  }
}

export function isDenied(error: unknown): boolean {
  return error instanceof NatsError && error.code === ErrorCode.PermissionsViolation;
}
