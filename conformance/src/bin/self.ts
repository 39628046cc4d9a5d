/**
 * Ferrywire as the target: the core in process, and the echo endpoints of its adapters over TCP and over HTTP/2, on any runtime.
 */
import { fileURLToPath } from 'node:url';
import { singleBytes, whole } from '../split.ts';
import type { Target } from '../target.ts';
import { clientCommand, serverCommand } from '../targets/child-process.ts';
import { ferrywire } from '../targets/ferrywire.ts';
import { inProcess } from '../targets/in-process.ts';
import { otherRuntime } from '../targets/other-runtime.ts';
import type { Options } from './options.ts';

export function selfTargets({ runtime, only, split, seed, role: onlyRole }: Options): Target[] {
  const roles = (['server', 'client'] as const).filter((role) => onlyRole === undefined || role === onlyRole);
  const how = split === 'bytes' ? ' in single bytes' : '';
  const inside = roles.map((role) => {
    const name = `ferrywire ${role} in process${runtime === 'node' ? '' : ` on ${runtime}`}${how}`;
    if (runtime !== 'node') return otherRuntime(runtime, role, name, ['--split', split]);
    const bytes = split === 'bytes';
    return inProcess(ferrywire(undefined, bytes ? 'push' : 'pull'), { role, split: bytes ? singleBytes(seed) : whole, name });
  });
  const testee = fileURLToPath(new URL('./bin/testee.js', import.meta.resolve('@ferrywire/node')));
  const command = `"${process.execPath}" "${testee}"`;
  const options = `--deflate --runtime ${runtime}`;
  const outside = roles.map((role) => {
    const name = `ferrywire ${role} on ${runtime} over TCP`;
    return role === 'server'
      ? { ...serverCommand(`${command} server --port {port} ${options}`, { tied: true }), name }
      : { ...clientCommand(`${command} client --url {url} --agent ferrywire --parallel 4 ${options}`, { tied: true }), name };
  });
  const streams = roles.map((role) => {
    const name = `ferrywire ${role} on ${runtime} over HTTP/2`;
    return role === 'server'
      ? { ...serverCommand(`${command} server --port {port} --http2 ${options}`, { http2: true, tied: true }), name }
      : {
          ...clientCommand(`${command} client --url {url} --agent ferrywire --parallel 4 --http2 ${options}`, { http2: true, tied: true }),
          name,
        };
  });
  const wanted = (where: typeof only): boolean => only === undefined || only === where;
  return [...(wanted('in-process') ? inside : []), ...(wanted('tcp') ? outside : []), ...(wanted('http2') ? streams : [])];
}
