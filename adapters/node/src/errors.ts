/**
 * Node's errors as the codes of `EndpointError`: one clear error with a code each, the original as its cause.
 */
import { EndpointError, type EndpointErrorCode } from '@ferrywire/driver';

const connectCodes: ReadonlyMap<string, EndpointErrorCode> = new Map([
  ['ECONNREFUSED', 'WS_CONNECT_REFUSED'],
  ['ECONNRESET', 'WS_CONNECT_REFUSED'],
  ['EPIPE', 'WS_CONNECT_REFUSED'],
  // A unix socket that is not there, or is a file.
  ['ENOENT', 'WS_CONNECT_REFUSED'],
  ['ENOTSOCK', 'WS_CONNECT_REFUSED'],
  ['ENOTFOUND', 'WS_CONNECT_HOST'],
  ['EAI_AGAIN', 'WS_CONNECT_HOST'],
  ['EAI_NODATA', 'WS_CONNECT_HOST'],
  ['EHOSTUNREACH', 'WS_CONNECT_HOST'],
  ['ENETUNREACH', 'WS_CONNECT_HOST'],
  ['EADDRNOTAVAIL', 'WS_CONNECT_HOST'],
  ['EINVAL', 'WS_CONNECT_HOST'],
  ['ETIMEDOUT', 'WS_CONNECT_TIMEOUT'],
  ['EACCES', 'WS_PERMISSION'],
  ['EPERM', 'WS_PERMISSION'],
]);

const listenCodes: ReadonlyMap<string, EndpointErrorCode> = new Map([
  ['EADDRINUSE', 'WS_LISTEN_IN_USE'],
  ['EADDRNOTAVAIL', 'WS_LISTEN_HOST'],
  ['ENOTFOUND', 'WS_LISTEN_HOST'],
  ['EAI_AGAIN', 'WS_LISTEN_HOST'],
  ['EAI_NODATA', 'WS_LISTEN_HOST'],
  ['EINVAL', 'WS_LISTEN_HOST'],
  ['EACCES', 'WS_PERMISSION'],
  ['EPERM', 'WS_PERMISSION'],
]);

interface SystemError {
  readonly code?: unknown;
  readonly name?: unknown;
  readonly message?: unknown;
  /** Of an AggregateError: one for each address that was tried. */
  readonly errors?: unknown;
}

function systemCode(cause: unknown): string {
  if (typeof cause !== 'object' || cause === null) return '';
  const { code, errors, name }: SystemError = cause;
  if (typeof code === 'string') return code;
  if (Array.isArray(errors) && errors.length > 0) return systemCode(errors[0]);
  // Deno without --allow-net.
  return name === 'NotCapable' || name === 'PermissionDenied' ? 'EACCES' : '';
}

function sentence(cause: unknown): string {
  const message = typeof cause === 'object' && cause !== null ? (cause as SystemError).message : undefined;
  if (typeof message === 'string' && message !== '') return message;
  const code = systemCode(cause);
  return code === '' ? String(cause) : code;
}

/** What failed between the call of `connect` and the first byte of the handshake. `secure`: TCP had been connected, TLS had not. */
export function connectError(cause: unknown, where: string, secure: boolean): EndpointError {
  const code = secure ? 'WS_CONNECT_TLS' : (connectCodes.get(systemCode(cause)) ?? 'WS_TRANSPORT');
  return new EndpointError(code, `cannot connect to ${where}: ${sentence(cause)}`, { cause });
}

export function listenError(cause: unknown, where: string): EndpointError {
  const code = listenCodes.get(systemCode(cause)) ?? 'WS_TRANSPORT';
  const what =
    code === 'WS_LISTEN_IN_USE'
      ? 'the address is in use'
      : code === 'WS_LISTEN_HOST'
        ? 'the host is not an address of this machine'
        : code === 'WS_PERMISSION'
          ? 'not permitted'
          : sentence(cause);
  return new EndpointError(code, `cannot listen on ${where}: ${what}`, { cause });
}
