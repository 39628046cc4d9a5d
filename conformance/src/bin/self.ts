/**
 * Ferrywire as the target: the core in process, and the echo endpoints of its adapters over TCP, on any runtime.
 */
import { fileURLToPath } from 'node:url';
import { singleBytes, whole } from '../split.ts';
import type { Target } from '../target.ts';
import { clientCommand, serverCommand } from '../targets/child-process.ts';
import { ferrywire } from '../targets/ferrywire.ts';
import { inProcess } from '../targets/in-process.ts';
import type { Options } from './options.ts';

export function selfTargets({ runtime, only, split, seed }: Options): Target[] {
  const cut = split === 'bytes' ? singleBytes(seed) : whole;
  const how = split === 'bytes' ? ' in single bytes' : '';
  const inside = (['server', 'client'] as const).map((role) =>
    inProcess(ferrywire(), { role, split: cut, name: `ferrywire ${role} in process${how}` }),
  );
  const testee = fileURLToPath(new URL('./bin/testee.js', import.meta.resolve('@ferrywire/node')));
  const command = `"${process.execPath}" "${testee}"`;
  const options = `--deflate --runtime ${runtime}`;
  const outside = [
    { ...serverCommand(`${command} server --port {port} ${options}`), name: `ferrywire server on ${runtime} over TCP` },
    { ...clientCommand(`${command} client --url {url} --agent ferrywire ${options}`), name: `ferrywire client on ${runtime} over TCP` },
  ];
  return [...(only === 'tcp' ? [] : inside), ...(only === 'in-process' ? [] : outside)];
}
