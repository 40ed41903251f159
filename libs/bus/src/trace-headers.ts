import { currentTraceparent } from '@enclaver/telemetry';
import { headers, type MsgHdrs } from 'nats';

/** W3C Trace Context's name for it; NATS tells upper case from lower. */
const TRACEPARENT = 'traceparent';

/** Headers that carry the span that is worked in; none where nothing is traced. */
export function traceHeaders(): { headers?: MsgHdrs } {
  const traceparent = currentTraceparent();
  if (traceparent === undefined) return {};
  const carried = headers();
  carried.set(TRACEPARENT, traceparent);
  return { headers: carried };
}

/** What the sender of a message worked in, unread: the tracer decides whether it is valid. */
export function traceparentOf(message: { headers?: MsgHdrs | undefined }): string | undefined {
  return message.headers?.get(TRACEPARENT) || undefined;
}
