/** TLS options as `Bun.listen` and `Bun.connect` take them, without Bun's types, so that programs on other runtimes compile against this. */
type Pem = string | Uint8Array;

export interface TlsOptions {
  readonly key?: Pem | readonly Pem[];
  readonly cert?: Pem | readonly Pem[];
  /** Authorities to trust instead of the system's. */
  readonly ca?: Pem | readonly Pem[];
  readonly passphrase?: string;
  /** Clients: false takes any certificate. Servers: see `requestCert`. Default true. */
  readonly rejectUnauthorized?: boolean;
  /** Servers: ask for a certificate of the client. */
  readonly requestCert?: boolean;
  /** OpenSSL's names, separated by colons. */
  readonly ciphers?: string;
}

/** As Bun wants them; the caller has Bun's types. */
export function bunTls(options: TlsOptions, more: { readonly serverName?: string } = {}): object {
  // Offered so that a server that also speaks HTTP/2 does not choose it (RFC 7301).
  return { ALPNProtocols: 'http/1.1', ...options, ...more };
}
