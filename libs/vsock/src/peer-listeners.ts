import { VsockError } from './errors.ts';
import { limits } from './limits.ts';
import type { VsockStream } from './stream.ts';

type OnStream = (stream: VsockStream) => void;

interface Listener {
  readonly descriptor: number;
  readonly acceptErrors: number;
  close(): void;
}

/** Opens the socket of a port, or goes on with one that listens already. */
type Open = (port: number, onStream: OnStream, descriptor?: number) => Listener;

interface Port {
  readonly listener: Listener;
  readonly byCid: Map<number, OnStream>;
}

/**
 * AF_VSOCK has one set of ports for all machines of a host. Several listeners of this process at one port share the socket;
 * the CID that connects tells whose stream it is, and a CID that nobody waits for is closed unheard. Each has its own bound.
 */
export class PeerListeners {
  readonly #open: Open;
  readonly #ports = new Map<number, Port>();

  constructor(open: Open) {
    this.#open = open;
  }

  /** @throws VsockError ADDRESS_IN_USE when one of the peers is listened for already, and what opening the socket throws */
  listen(port: number, peerCids: readonly number[], onStream: OnStream, descriptor?: number): Listener {
    const shared = this.#ports.get(port) ?? this.#share(port, descriptor);
    const taken = peerCids.find((cid) => shared.byCid.has(cid));
    if (taken !== undefined) {
      throw new VsockError('ADDRESS_IN_USE', `vsock port ${port} is listened at for CID ${taken} already`);
    }
    const take = bounded(onStream);
    for (const cid of peerCids) shared.byCid.set(cid, take);
    const close = () => this.#close(port, shared, peerCids, take);
    const { listener } = shared;
    return {
      descriptor: listener.descriptor,
      get acceptErrors() {
        return listener.acceptErrors;
      },
      close,
    };
  }

  #share(port: number, descriptor: number | undefined): Port {
    const byCid = new Map<number, OnStream>();
    const take: OnStream = (stream) => {
      const onStream = stream.peerCid === undefined ? undefined : byCid.get(stream.peerCid);
      if (onStream === undefined) stream.destroy();
      else onStream(stream);
    };
    const listener = this.#open(port, take, descriptor);
    const shared = { listener, byCid };
    this.#ports.set(port, shared);
    return shared;
  }

  #close(port: number, shared: Port, peerCids: readonly number[], onStream: OnStream): void {
    for (const cid of peerCids) if (shared.byCid.get(cid) === onStream) shared.byCid.delete(cid);
    if (shared.byCid.size > 0 || this.#ports.get(port) !== shared) return;
    this.#ports.delete(port);
    shared.listener.close();
  }
}

/** As many open streams as a listener may have; more are closed at once. */
function bounded(onStream: OnStream): OnStream {
  let open = 0;
  return (stream) => {
    if (open >= limits.listenerStreams) {
      stream.destroy();
      return;
    }
    open++;
    stream.once('close', () => open--);
    onStream(stream);
  };
}
