/** As much of an AbortSignal as is needed to end a request early; an AbortSignal is one. */
export interface Cancel {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void): void;
}
