/**
 * The errors of runtimes as the codes of `EndpointError`: one clear error with a code each, the same on every runtime, the original as its
 * cause.
 *
 * Beware: Deno and Bun give no code to a name that does not resolve; they are known by what they say.
 */
import { EndpointError, type EndpointErrorCode } from '../errors.ts';

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
  // Node with --permission and without --allow-net.
  ['ERR_ACCESS_DENIED', 'WS_PERMISSION'],
]);

const listenCodes: ReadonlyMap<string, EndpointErrorCode> = new Map([
  ['EADDRINUSE', 'WS_LISTEN_IN_USE'],
  ['EADDRNOTAVAIL', 'WS_LISTEN_HOST'],
  ['ENOTFOUND', 'WS_LISTEN_HOST'],
  ['EAI_AGAIN', 'WS_LISTEN_HOST'],
  ['EAI_NODATA', 'WS_LISTEN_HOST'],
  ['EINVAL', 'WS_LISTEN_HOST'],
  // The directory of a unix socket.
  ['ENOENT', 'WS_LISTEN_HOST'],
  ['ENOTDIR', 'WS_LISTEN_HOST'],
  ['EACCES', 'WS_PERMISSION'],
  ['EPERM', 'WS_PERMISSION'],
  // Node with --permission and without --allow-net.
  ['ERR_ACCESS_DENIED', 'WS_PERMISSION'],
]);

/** The application has transferred a buffer that waits to be written: what is behind it in the stream would be read as its payload. */
export const bufferGone = (): Error => new Error('the buffer of a message was transferred before it was written');

interface SystemError {
  readonly code?: unknown;
  readonly name?: unknown;
  readonly message?: unknown;
  /** Of an AggregateError: one for each address that was tried. */
  readonly errors?: unknown;
}

/**
 * Bun says the last of anything that has no code, a lack of file descriptors too: of an address or a path it is no name's fault. 256.1.1.1 is none, nor
 * is 127.0.0.1. with a dot behind it, and that of a zone may name an interface that is not there.
 */
const UNRESOLVED =
  /lookup address information|^invalid (?:empty host|host|IPv6 address in):? '|^Failed to listen at (?!(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){1,4}$|\/|[^%]*:[^%]*$)/;
/** Deno dials no port 0. Nobody can listen there. */
const PORT_ZERO = /^Invalid port \(out of range\): 0$/;
const NO_DIRECTORY = /^(ENOENT|ENOTDIR)$/;
/** Of rustls, which gives no codes. */
const UNUSABLE = /^(keys may not be consistent|invalid peer certificate|invalid private key)\b/;

function systemCode(cause: unknown): string {
  if (typeof cause !== 'object' || cause === null) return '';
  const { code, errors, name, message }: SystemError = cause;
  if (typeof code === 'string') return code;
  if (Array.isArray(errors) && errors.length > 0) return systemCode(errors[0]);
  if (typeof message === 'string' && UNRESOLVED.test(message)) return 'ENOTFOUND';
  if (typeof message === 'string' && PORT_ZERO.test(message)) return 'ECONNREFUSED';
  // Deno without --allow-net.
  return name === 'NotCapable' || name === 'PermissionDenied' ? 'EACCES' : '';
}

function sentence(cause: unknown): string {
  const message = typeof cause === 'object' && cause !== null ? (cause as SystemError).message : undefined;
  if (typeof message === 'string' && message !== '') return message.replace(/\s*\n\s*/g, ' ');
  const code = systemCode(cause);
  return code === '' ? String(cause) : code;
}

/** An alert of the peer, or a record that cannot be read. */
const TLS_FAILURE = /^ERR_SSL_/;

/** What failed between the call of `connect` and the first byte of the handshake. `secure`: TCP had been connected, TLS had not. */
export function connectError(cause: unknown, where: string, secure: boolean): EndpointError {
  const system = systemCode(cause);
  const code = secure || TLS_FAILURE.test(system) ? 'WS_CONNECT_TLS' : (connectCodes.get(system) ?? 'WS_TRANSPORT');
  return new EndpointError(code, `cannot connect to ${where}: ${sentence(cause)}`, { cause });
}

/** What failed in `listen`. `where` is for the message. */
export function listenError(cause: unknown, where: string): EndpointError {
  const code = listenCodes.get(systemCode(cause)) ?? 'WS_TRANSPORT';
  const what =
    code === 'WS_LISTEN_IN_USE'
      ? 'the address is in use'
      : code === 'WS_LISTEN_HOST'
        ? NO_DIRECTORY.test(systemCode(cause))
          ? 'the directory does not exist'
          : 'the host is not an address of this machine'
        : code === 'WS_PERMISSION'
          ? 'not permitted'
          : sentence(cause);
  return new EndpointError(code, `cannot listen on ${where}: ${what}`, { cause });
}

/** Whether TLS was agreed on and it is the peer's certificate that the error is about, not TLS itself. */
export function isVerdict(cause: unknown): boolean {
  const code = systemCode(cause);
  return code !== '' && code !== 'EPROTO' && code !== 'ECONNRESET';
}

/** What a runtime says of its options of TLS: the caller's mistake, and no failure of the listener or of the connection. */
export function tlsError(cause: unknown): TypeError {
  return new TypeError(`options.tls cannot be used: ${sentence(cause)}`, { cause });
}

/** The same for an error that may be something else: null then. */
export function keyError(cause: unknown): TypeError | null {
  const code = systemCode(cause);
  const unread =
    /^ERR_(OSSL|SSL|BORINGSSL)/.test(code) || (cause instanceof Error && (cause.name === 'InvalidData' || UNUSABLE.test(cause.message)));
  return unread || cause instanceof TypeError ? tlsError(cause) : null;
}

/**
 * Throws `WS_RUNTIME` unless `version` is at least `least` (two numbers: major and minor). `version` is undefined on another runtime.
 *
 * @param name of the runtime, for the message
 */
export function checkRuntime(name: string, version: string | undefined, least: readonly [major: number, minor: number]): void {
  if (version === undefined) throw new EndpointError('WS_RUNTIME', `this adapter runs on ${name} only`);
  const [major = 0, minor = 0] = version.split('.', 2).map((part) => Number.parseInt(part, 10));
  if (major > least[0] || (major === least[0] && minor >= least[1])) return;
  throw new EndpointError('WS_RUNTIME', `${name} ${least.join('.')} or later is needed, this is ${version}`);
}

interface Permissions {
  requestSync(permission: { readonly name: 'net'; readonly host: string }): { readonly state: string };
}

/**
 * Asks Deno whether the address may be used; does nothing elsewhere. For `node:net`, whose `listen` throws there in a turn of its own, where
 * nobody can catch it.
 */
export function checkPermission(host: string, port: number): void {
  const { Deno } = globalThis as { readonly Deno?: { readonly permissions: Permissions } };
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (Deno === undefined) return;
  let state: string;
  try {
    ({ state } = Deno.permissions.requestSync({ name: 'net', host: where }));
  } catch (cause) {
    // Of what can be no host.
    throw listenError(cause, where);
  }
  if (state === 'granted') return;
  throw new EndpointError('WS_PERMISSION', `cannot listen on ${where}: not permitted`);
}
