import type { LogMessage } from '@enclaver/bus';
import { limits } from '../limits.ts';

/** The newest messages that this process has put on the bus: a sink that is close behind need not ask the bus for them again. */
export class RecentLog {
  readonly #messages: { message: LogMessage; bytes: number }[] = [];
  #bytes = 0;

  /** `bytes` is what it takes on the bus. */
  add(message: LogMessage, bytes: number): void {
    this.#messages.push({ message, bytes });
    this.#bytes += bytes;
    while (this.#bytes > limits.recentBytes) this.#bytes -= this.#messages.shift()?.bytes ?? 0;
  }

  /** Those directly behind `position`, without a gap; none where the next one is not here. */
  after(position: number): LogMessage[] {
    const first = this.#messages.findIndex(({ message }) => message.position === position + 1);
    if (first < 0) return [];
    const messages: LogMessage[] = [];
    for (const { message } of this.#messages.slice(first)) {
      if (message.position !== position + 1 + messages.length) break;
      messages.push(message);
    }
    return messages;
  }
}
