/**
 * Node's errors as the codes of `EndpointError`.
 */
import { lookup } from 'node:dns';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { EndpointError } from '@ferrywire/driver';
import * as shared from '@ferrywire/driver/adapter';

export { connectError } from '@ferrywire/driver/adapter';

/** libuv calls a unix socket in a directory that is not there EACCES, as Windows does. */
export function listenError(cause: unknown, where: string, socketPath?: string): EndpointError {
  const denied = (cause as { readonly code?: unknown } | null)?.code === 'EACCES';
  const missing = denied && socketPath !== undefined && !existsSync(dirname(socketPath));
  return shared.listenError(missing ? Object.assign(new Error('no such directory', { cause }), { code: 'ENOENT' }) : cause, where);
}

interface PermissionModel {
  has(scope: string): boolean;
}

/**
 * Rejects with `WS_PERMISSION` where the runtime withholds the network: `listen` of `node:net` throws there in a turn of its own, where nobody
 * can catch it. For who calls that; `listen` of this package asks by itself.
 *
 * @param address of TCP that is to be listened on, or null for a unix socket
 */
export async function checkListen(address: { readonly host: string; readonly port: number } | null, where: string): Promise<void> {
  if (address !== null) shared.checkPermission(address.host, address.port);
  await checkAccess(where);
}

/**
 * Node with `--permission` and without `--allow-net`. A name is looked up, which fails there and tells: `has` says no as well where nothing is
 * withheld, on Node 24 and with `--permission-audit`.
 */
async function checkAccess(where: string): Promise<void> {
  const { permission } = process as { readonly permission?: PermissionModel };
  if (permission === undefined || permission.has('net')) return;
  const denied = await new Promise<unknown>((resolve) => lookup('localhost', (error) => resolve(error)));
  if ((denied as { readonly code?: unknown } | null)?.code === 'ERR_ACCESS_DENIED') throw listenError(denied, where);
}

/** Whatever `node:tls` throws at once is about its options. */
export function orTlsError<Result>(make: () => Result): Result {
  try {
    return make();
  } catch (cause) {
    throw shared.tlsError(cause);
  }
}
