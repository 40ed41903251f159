export * from './egress.ts';
export * from './launch.ts';
export { LineSplitter } from './lines.ts';
export * from './log.ts';
export * from './ports.ts';
export * from './proxy-protocol.ts';
// `sealed-key` is an entry of its own: it loads Node's crypto, without which odyn starts sooner
export * from './status.ts';
export * from './store.ts';
export { WireError, type WireErrorCode } from './wire-error.ts';
