/**
 * Options of TLS, judged before anybody is dialled or can connect, in both entry points that take them.
 */
import * as crypto from 'node:crypto';
import type { ConnectionOptions, TlsOptions } from 'node:tls';
import { checkCertificates, checkNumber, checkTls } from '@ferrywire/driver/adapter';

/** What timers can do. */
export const LONGEST = 2_147_483_647;

/** Where the certificate, or what serves instead of one, may come from besides `key` and `cert`. */
const OF_SERVERS = ['pfx', 'SNICallback', 'pskCallback', 'privateKeyEngine'];
const OF_CLIENTS = ['pfx', 'secureContext', 'pskCallback', 'privateKeyEngine', 'clientCertEngine'];

export function checkServerTls(tls: TlsOptions): void {
  checkTls(tls, 'server', OF_SERVERS);
  // Node takes any number, and throws for some of them at the first connection.
  if (tls.handshakeTimeout !== undefined) checkNumber(tls.handshakeTimeout, 'options.tls.handshakeTimeout', 0, LONGEST);
  checkCertificates(tls, crypto);
}

export function checkClientTls(tls: ConnectionOptions): void {
  checkTls(tls, 'client', OF_CLIENTS);
  checkCertificates(tls, crypto);
}
