import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { DestinationError, parseDestination } from '@enclaver/egress-policy';
import { parseIpAddress } from '@enclaver/manifest';
import { limits } from '../../limits.ts';
import type { Gate } from '../gate.ts';
import { type DnsAnswer, nameData, RCODE, readQuery, TYPE, writeAnswer, writeFault } from './dns-message.ts';
import { StandIns } from './stand-ins.ts';

const ADDRESS = '127.0.0.1';
const LOOPBACK = Buffer.of(127, 0, 0, 1);
const LOOPBACK_6 = Buffer.from('00000000000000000000000000000001', 'hex');

/** The enclave's name server: has an address for each name that the policy could let through, and asks nobody. */
export class Resolver {
  readonly #gate: Gate;
  readonly #standIns: StandIns;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;

  private constructor(gate: Gate, standIns: StandIns) {
    this.#gate = gate;
    this.#standIns = standIns;
    this.#udp = createSocket('udp4', (bytes, from) => this.#onDatagram(bytes, from));
    this.#tcp = createServer((socket) => this.#onConnection(socket));
    this.#tcp.maxConnections = limits.dnsConnections;
  }

  static async open(gate: Gate, standIns: StandIns, port: number): Promise<Resolver> {
    const resolver = new Resolver(gate, standIns);
    resolver.#tcp.listen(port, ADDRESS);
    await once(resolver.#tcp, 'listening');
    resolver.#udp.bind(port, ADDRESS);
    await once(resolver.#udp, 'listening');
    return resolver;
  }

  async close(): Promise<void> {
    const closed = [once(this.#udp, 'close'), once(this.#tcp, 'close')];
    this.#udp.close();
    this.#tcp.close();
    await Promise.all(closed);
  }

  #onDatagram(bytes: Buffer, { address, port }: RemoteInfo): void {
    const answer = this.answer(bytes);
    // Whoever has asked is gone when this fails
    if (answer !== undefined) this.#udp.send(answer, port, address, () => {});
  }

  /** Each message behind its length, two bytes. One that is waited for in vain ends the connection. */
  #onConnection(socket: Socket): void {
    let rest: Buffer = Buffer.alloc(0);
    socket.setTimeout(limits.dnsIdleMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const end = 2 + rest.readUInt16BE(0);
        const answer = this.answer(rest.subarray(2, end));
        rest = rest.subarray(end);
        // Nobody who reads no answers may have them pile up here
        if (answer === undefined || socket.writableLength > limits.dnsBacklogBytes) return socket.destroy();
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  }

  /** What a message is answered with; undefined when with nothing. */
  answer(message: Buffer): Buffer | undefined {
    const query = readQuery(message);
    if (query === undefined || 'rcode' in query) return query && writeFault(query);
    return writeAnswer(query, this.#find(query.labels, query.type));
  }

  #find(labels: readonly string[], type: number): DnsAnswer {
    const name = labels.join('.').toLowerCase();
    if (/(^|\.)localhost$/.test(name)) return record(type, { [TYPE.A]: LOOPBACK, [TYPE.AAAA]: LOOPBACK_6 });
    if (/(^|\.)(in-addr|ip6)\.arpa$/.test(name)) return this.#findReverse(name, type);
    // Other bytes than a host's: a dot within a label would read as two of them
    if (!labels.every((label) => /^[\w-]+$/.test(label))) return { rcode: RCODE.NO_NAME };
    try {
      const destination = parseDestination(name, 0);
      if (destination.kind === 'ip') return { rcode: RCODE.NO_NAME };
      const refused = this.#gate.refuseName(destination);
      if (refused !== undefined) return { rcode: RCODE.NO_NAME, reason: refused };
      // No address but for IPv4: a program that prefers IPv6 takes the other one then
      if (type !== TYPE.A) return { rcode: RCODE.OK };
      return record(type, { [TYPE.A]: Buffer.from(this.#standIns.addressOf(destination.host).bytes) });
    } catch (error) {
      if (!(error instanceof DestinationError)) throw error;
      return { rcode: RCODE.NO_NAME };
    }
  }

  #findReverse(name: string, type: number): DnsAnswer {
    const text = name
      .replace(/\.in-addr\.arpa$/, '')
      .split('.')
      .reverse()
      .join('.');
    const address = parseIpAddress(text);
    if (address?.family !== 4) return { rcode: RCODE.NO_NAME };
    const found = text === ADDRESS ? 'localhost' : StandIns.has(address) && this.#standIns.nameOf(address);
    return found ? record(type, { [TYPE.PTR]: nameData(found) }) : { rcode: RCODE.NO_NAME };
  }
}

function record(type: number, records: Readonly<Record<number, Buffer>>): DnsAnswer {
  const data = records[type];
  return data === undefined ? { rcode: RCODE.OK } : { rcode: RCODE.OK, data, ttlSeconds: limits.dnsTtlSeconds };
}
