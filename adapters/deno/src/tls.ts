import * as crypto from 'node:crypto';
import { checkCertificates } from '@ferrywire/driver/adapter';

/** TLS options under the names that the other adapters use too. */
export interface TlsOptions {
  /** PEM. */
  readonly key?: string;
  readonly cert?: string;
  /** Clients: authorities to trust besides those that Deno trusts, PEM. */
  readonly ca?: string | readonly string[];
}

// Offered so that a peer that also speaks HTTP/2 does not choose it (RFC 7301).
const alpn = { alpnProtocols: ['http/1.1'] } as const;

/** Throws TypeError naming the option. What is wrong with the key of a client would end the process (`Deno.connectTls`). */
export function checkReadable(tls: TlsOptions | undefined): void {
  if (tls !== undefined) checkCertificates(tls, crypto);
}

type Keys = typeof alpn & { readonly key?: string; readonly cert?: string };

export function keysOf({ key, cert }: TlsOptions): Keys {
  return { ...alpn, ...(key === undefined ? null : { key }), ...(cert === undefined ? null : { cert }) };
}
export function trustOf({ ca }: TlsOptions): typeof alpn & { readonly caCerts: readonly string[] } {
  return { ...alpn, caCerts: ca === undefined ? [] : typeof ca === 'string' ? [ca] : ca };
}
