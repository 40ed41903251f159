import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { TicketKeys } from '../src/ingress/ticket-keys.ts';
import { Pki } from './tls-bench.ts';

describe('keys of session tickets', () => {
  it('change; a client with an earlier session then makes a new one', async () => {
    const pki = await Pki.make();
    pki.authority('server');
    const server = createServer({ key: await pki.pem('server.key'), cert: await pki.pem('server.pem') }, (socket) =>
      socket.end('x'),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const keys = new TicketKeys(server, 200);
    const visit = async (session?: Buffer): Promise<{ reused: boolean; session: Buffer | undefined }> => {
      const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, session });
      const seen: Awaited<ReturnType<typeof visit>> = { reused: false, session: undefined };
      client.once('secureConnect', () => {
        seen.reused = client.isSessionReused();
      });
      client.on('session', (ticket) => {
        seen.session = ticket;
      });
      await once(client.resume(), 'close');
      return seen;
    };
    const { session } = await visit();
    assert.ok(session !== undefined);
    const before = server.getTicketKeys();
    while (server.getTicketKeys().equals(before)) await new Promise((resolve) => setTimeout(resolve, 10));
    keys.close();
    const later = await visit(session);
    assert.equal(later.reused, false);
    assert.equal((await visit(later.session)).reused, true);
    server.close();
    await pki.close();
  });
});
