/** A listener that cannot be opened; travels to the user as the enclave's failure. */
export class ProxyError extends Error {
  readonly code:
    | 'PORT_IN_USE'
    | 'ROUTE_IN_USE'
    | 'PATH_IN_USE'
    | 'PORT_DENIED'
    | 'ADDRESS_UNAVAILABLE'
    | 'LISTEN_FAILED'
    | 'EGRESS_PORT_IN_USE'
    | 'TOO_MANY_ENCLAVES'
    | 'HANDOVER_UNKNOWN'
    | 'EGRESS_POLICY_INVALID';
  readonly remedy: string | undefined;

  constructor(code: ProxyError['code'], message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProxyError';
    this.code = code;
    this.remedy = remedy;
  }
}
