/** A message that cannot be passed on: 400 is the client's request, 502 the server's answer. */
export class HttpFault extends Error {
  override readonly name = 'HttpFault';
  readonly code = 'HTTP_FAULT';
  readonly status: 400 | 502;

  constructor(status: HttpFault['status'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}
