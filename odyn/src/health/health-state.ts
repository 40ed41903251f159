export interface HealthRules {
  /** So many failures one after the other make the app unhealthy. */
  readonly retries: number;
  /** Failures count from then on, or from the first check that has passed. Milliseconds since the app's start. */
  readonly startPeriodMs: number;
}

/** What follows from the checks of an app. */
export class HealthState {
  readonly #rules: HealthRules;
  #state: 'starting' | 'ready' | 'unhealthy' = 'starting';
  #passed = false;
  #failures = 0;

  constructor(rules: HealthRules) {
    this.#rules = rules;
  }

  /** Whether a check has ever passed. */
  get passed(): boolean {
    return this.#passed;
  }

  /** Takes the outcome of one check, at milliseconds since the app's start. @returns the new state, if it is one */
  take(passes: boolean, atMs: number): 'ready' | 'unhealthy' | undefined {
    if (passes) {
      this.#passed = true;
      this.#failures = 0;
      return this.#become('ready');
    }
    if (this.starting(atMs)) return undefined;
    this.#failures += 1;
    return this.#failures < this.#rules.retries ? undefined : this.#become('unhealthy');
  }

  /** Whether a failure would not count. */
  starting(atMs: number): boolean {
    return !this.#passed && atMs < this.#rules.startPeriodMs;
  }

  #become(state: 'ready' | 'unhealthy'): typeof state | undefined {
    if (this.#state === state) return undefined;
    this.#state = state;
    return state;
  }
}
