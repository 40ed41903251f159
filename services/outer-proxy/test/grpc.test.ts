import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import {
  Client,
  type ClientReadableStream,
  credentials,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { HttpHarness } from './http-harness.ts';

const bytes = { serialize: (text: string) => Buffer.from(text), deserialize: (data: Buffer) => data.toString() };

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<string, string> {
  const { serialize, deserialize } = bytes;
  const types = { requestSerialize: serialize, responseSerialize: serialize };
  return {
    path: `/test.Words/${name}`,
    requestStream,
    responseStream,
    ...types,
    requestDeserialize: deserialize,
    responseDeserialize: deserialize,
  };
}

const WORDS = {
  Echo: method('Echo', false, false),
  Fail: method('Fail', false, false),
  Hang: method('Hang', false, false),
  Count: method('Count', false, true),
  Join: method('Join', true, false),
  Chat: method('Chat', true, true),
};

/** What a real client of gRPC and a real server have to say to each other, through a route with `h2c`. */
describe('HTTP mode: gRPC', () => {
  let harness: HttpHarness;
  let server: Server;
  let client: Client;
  /** Calls of Hang that the server has seen, and those that it was told to give up. */
  let hung: { begun: number; cancelled: number };

  beforeEach(async () => {
    hung = { begun: 0, cancelled: 0 };
    server = new Server();
    const echo: handleUnaryCall<string, string> = (call, callback) => {
      const trailers = new Metadata();
      trailers.set('behind', 'the body');
      const first = new Metadata();
      first.set('said', call.metadata.get('said')[0] ?? '');
      call.sendMetadata(first);
      callback(null, call.request, trailers);
    };
    server.addService(WORDS, {
      Echo: echo,
      Fail: ((_call, callback) => {
        const metadata = new Metadata();
        metadata.set('why-bin', Buffer.from([0, 255]));
        callback({ code: status.NOT_FOUND, details: 'nothing – here', metadata });
      }) satisfies handleUnaryCall<string, string>,
      Hang: ((call) => {
        hung.begun++;
        call.on('cancelled', () => hung.cancelled++);
      }) satisfies handleUnaryCall<string, string>,
      Count: (call: { request: string; write(text: string): void; end(): void }) => {
        for (let i = 0; i < Number(call.request); i++) call.write(`${i}`);
        call.end();
      },
      Join: (call: AsyncIterable<string>, callback: (error: null, text: string) => void) => {
        void (async () => {
          const all: string[] = [];
          for await (const text of call) all.push(text);
          callback(null, all.join(' '));
        })();
      },
      Chat: (call: AsyncIterable<string> & { write(text: string): void; end(): void }) => {
        void (async () => {
          for await (const text of call) call.write(text.toUpperCase());
          call.end();
        })();
      },
    });
    const inside = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    harness = await HttpHarness.start();
    const { published } = await harness.publish('a', { h2c: true });
    harness.serveRaw('a', (socket) => {
      const app = connect({ port: inside, host: '127.0.0.1', noDelay: true }).on('error', () => socket.destroy());
      socket.pipe(app).pipe(socket);
    });
    client = new Client(`127.0.0.1:${published.port}`, credentials.createInsecure());
  });

  afterEach(async () => {
    client.close();
    server.forceShutdown();
    await harness[Symbol.asyncDispose]();
  });

  const unary = (
    name: keyof typeof WORDS,
    text: string,
    { deadline, metadata = new Metadata() }: { deadline?: number; metadata?: Metadata } = {},
  ) => {
    const { promise, resolve, reject } = Promise.withResolvers<{ text: string; first: Metadata; behind: Metadata }>();
    let first = new Metadata();
    let behind = new Metadata();
    const { path, requestSerialize, responseDeserialize } = WORDS[name];
    const options = deadline === undefined ? {} : { deadline: Date.now() + deadline };
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      text,
      metadata,
      options,
      (error, answer) => {
        // The status comes last
        setImmediate(() => (error ? reject(error) : resolve({ text: answer ?? '', first, behind })));
      },
    );
    call.on('metadata', (given: Metadata) => {
      first = given;
    });
    call.on('status', (given: { metadata: Metadata }) => {
      behind = given.metadata;
    });
    return { call, answered: promise };
  };

  it('carries calls with their metadata and trailers, many at a time', async () => {
    const calls = Array.from({ length: 100 }, async (_, number) => {
      const metadata = new Metadata();
      metadata.set('said', String(number));
      const { text, first, behind } = await unary('Echo', `word ${number}`, { metadata }).answered;
      assert.equal(text, `word ${number}`);
      assert.deepEqual(first.get('said'), [String(number)]);
      assert.deepEqual(behind.get('behind'), ['the body']);
    });
    await Promise.all(calls);
    const large = 'x'.repeat(3 * 1024 * 1024);
    assert.equal((await unary('Echo', large).answered).text, large);
  });

  it('carries the status of an error, with its text and what is bytes', async () => {
    await assert.rejects(unary('Fail', 'x').answered, (error: ServiceError) => {
      assert.equal(error.code, status.NOT_FOUND);
      assert.equal(error.details, 'nothing – here');
      assert.deepEqual(error.metadata.get('why-bin'), [Buffer.from([0, 255])]);
      return true;
    });
    // The server answers these with a head alone, whatever of the request has come by then
    const { requestSerialize, responseDeserialize } = WORDS.Echo;
    const none = (text: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest('/test.Words/None', requestSerialize, responseDeserialize, text, (error, answer) =>
          error ? reject(error) : resolve(answer),
        );
      });
    for (const text of ['x', 'x'.repeat(1024 * 1024)]) {
      const asked = Array.from({ length: 50 }, () =>
        assert.rejects(none(text), { code: status.UNIMPLEMENTED, details: /does not implement/ }),
      );
      await Promise.all(asked);
    }
  });

  it('streams from the server', async () => {
    const { path, requestSerialize, responseDeserialize } = WORDS.Count;
    const call: ClientReadableStream<string> = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      '5000',
    );
    const seen: string[] = [];
    for await (const text of call) seen.push(text);
    assert.deepEqual(
      seen,
      Array.from({ length: 5000 }, (_, number) => String(number)),
    );
  });

  it('streams to the server', async () => {
    const { path, requestSerialize, responseDeserialize } = WORDS.Join;
    const words = Array.from({ length: 1000 }, (_, number) => String(number));
    const answer = await new Promise((resolve, reject) => {
      const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error, text) =>
        error ? reject(error) : resolve(text),
      );
      for (const word of words) call.write(word);
      call.end();
    });
    assert.equal(answer, words.join(' '));
  });

  it('streams both ways at once: each answer comes before the next word is said', async () => {
    const { path, requestSerialize, responseDeserialize } = WORDS.Chat;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    for (const word of ['one', 'two', 'three']) {
      call.write(word);
      assert.equal((await once(call, 'data'))[0], word.toUpperCase());
    }
    const ended = once(call, 'status');
    call.end();
    assert.equal((await ended)[0].code, status.OK);
  });

  it('ends a call at its deadline, and one that is cancelled, at the server, too', async () => {
    await assert.rejects(unary('Hang', 'x', { deadline: 200 }).answered, { code: status.DEADLINE_EXCEEDED });
    const { call, answered } = unary('Hang', 'x');
    while (hung.begun < 2) await new Promise(setImmediate);
    call.cancel();
    await assert.rejects(answered, { code: status.CANCELLED });
    while (hung.cancelled < 2) await new Promise(setImmediate);
    assert.equal((await unary('Echo', 'still there').answered).text, 'still there');
  });

  it('is told that the enclave is not there as gRPC has it', async () => {
    server.forceShutdown();
    harness.cut('a');
    await assert.rejects(unary('Echo', 'x').answered, { code: status.UNAVAILABLE });
    harness.ports.setState('a', 'starting');
    await assert.rejects(unary('Echo', 'x').answered, { code: status.UNAVAILABLE });
  });
});
