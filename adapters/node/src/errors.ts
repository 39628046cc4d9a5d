/**
 * Node's errors as the codes of `EndpointError`.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { EndpointError } from '@ferrywire/driver';
import * as shared from '@ferrywire/driver/adapter';

export { checkPermission, connectError } from '@ferrywire/driver/adapter';

/** libuv calls a unix socket in a directory that is not there EACCES, as Windows does. */
export function listenError(cause: unknown, where: string, socketPath?: string): EndpointError {
  const denied = (cause as { readonly code?: unknown } | null)?.code === 'EACCES';
  const missing = denied && socketPath !== undefined && !existsSync(dirname(socketPath));
  return shared.listenError(missing ? Object.assign(new Error('no such directory', { cause }), { code: 'ENOENT' }) : cause, where);
}

/** Whatever `node:tls` throws at once is about its options. */
export function orTlsError<Result>(make: () => Result): Result {
  try {
    return make();
  } catch (cause) {
    throw shared.tlsError(cause);
  }
}
