export { Acceptor } from './acceptor.ts';
export {
  CID_ANY,
  CID_HOST,
  CID_LOCAL,
  CID_PARENT,
  type Endpoint,
  type ListenAddress,
  localCid,
  vsockSockaddr,
} from './address.ts';
export { type ConnectOptions, connectStream } from './connect.ts';
export { type ChannelEvents, ChannelListener, connectChannel, type DescriptorChannel } from './descriptor-channel.ts';
export { VsockError, type VsockErrorCode } from './errors.ts';
export { connectLine, parseConnectLine } from './hybrid.ts';
export { duplicateDescriptor } from './listener.ts';
export { nodeSocketOf } from './node-socket.ts';
export { type JoinOptions, Relay, type RelayPeer, type RelayResult } from './relay.ts';
export type {
  Admission,
  ConnectionEnd,
  EndReason,
  GroupLimits,
  GroupStats,
  RelayGroup,
  RelayLimits,
  RelayRoute,
  RelayStats,
  Screen,
  Verdict,
} from './route.ts';
export { type StreamGate, VsockStream } from './stream.ts';
export {
  type GuestAddress,
  type ListenOptions,
  nativeTransport,
  type StreamPort,
  transportTo,
  unixTransport,
  type VsockTransport,
} from './transport.ts';
