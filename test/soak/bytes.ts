import { createCipheriv } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** Longest transfer. Where one begins is as far behind the start at most. */
export const LONGEST = 2 ** 20;

/** Bytes that both ends of a transfer make for themselves, so that each looks at every one that it gets: a keystream. */
const KEYSTREAM = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(2 * LONGEST));

export interface Part {
  readonly offset: number;
  readonly length: number;
}

export const bytesOf = ({ offset, length }: Part): Buffer => KEYSTREAM.subarray(offset, offset + length);

/** @throws where another byte comes, one too many, or one too few. */
export async function expectBytes(stream: AsyncIterable<Buffer>, part: Part): Promise<void> {
  const expected = bytesOf(part);
  let at = 0;
  for await (const chunk of stream) {
    if (!chunk.equals(expected.subarray(at, at + chunk.length))) throw new WrongBytes(part, at);
    at += chunk.length;
  }
  if (at !== expected.length) throw new WrongBytes(part, at);
}

/** Bytes came that nobody has sent, or an end before the end. */
export class WrongBytes extends Error {
  constructor({ offset, length }: Part, at: number) {
    super(`wrong bytes: after ${at} of ${length} from ${offset} on`);
  }
}

export type Answer = (part: Part, request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** `GET /OFFSET/LENGTH` gives such bytes, `PUT /OFFSET/LENGTH` takes them, and more ways in front of these two numbers. */
export function bytesServer(more: Readonly<Record<string, Answer>> = {}): Server {
  const ways: Readonly<Record<string, Answer>> = {
    GET: async (part, _, response) => void response.end(bytesOf(part)),
    PUT: async (part, request, response) => {
      await expectBytes(request, part);
      response.end();
    },
    ...more,
  };
  return createServer(async (request, response) => {
    const [, way = request.method ?? '', offset, length] = /^(?:\/(\w+))?\/(\d+)\/(\d+)$/.exec(request.url ?? '') ?? [];
    try {
      await ways[way]?.({ offset: Number(offset), length: Number(length) }, request, response);
    } catch (error) {
      response.statusCode = 500;
      response.end((error as Error).message);
    }
  });
}
