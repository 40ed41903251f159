export { type Cancel, Canceller } from './cancel.ts';
export {
  answerOf,
  exchange,
  flushSoon,
  type RequestBody,
  type RequestHead,
  reply,
  requestOver,
  type Way,
} from './exchange.ts';
export { checkConnect, framingOf, hasBody, isDoubtful } from './framing.ts';
export { endToEnd, pairs, rawHead, upgradeTo } from './headers.ts';
export { HttpFault } from './http-fault.ts';
export { KeptConnections, type KeptLimits } from './kept-connections.ts';
export { pass } from './pass.ts';
export { pipelines } from './pipeline.ts';
export { pour } from './pour.ts';
