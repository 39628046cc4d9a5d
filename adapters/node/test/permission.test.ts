/**
 * The permission models of Node and Deno: what may not be used is no listener and no connection, which is an error with a code.
 */
import { execFile } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { deno, denoArguments, node, root } from '../../../test/withheld.ts';

const program = `
import { connect, listen } from '@ferrywire/node';
const codeOf = (error) => error.code + ' ' + error.name;
const codes = [];
for (const options of [{}, { http2: true }, { host: 'localhost' }, { socketPath: '${root}node_modules/none.sock' }]) {
  codes.push(await listen(options).then((server) => server.close().then(() => 'listened'), codeOf));
}
for (const url of ['ws://127.0.0.1:1/', 'ws://localhost:1/', 'wss://127.0.0.1:1/']) codes.push(await connect(url).catch(codeOf));
process.stdout.write(JSON.stringify(codes));
`;

function codes(...flags: string[]): Promise<unknown> {
  return new Promise((resolve) => {
    const args = [...flags, '--allow-fs-read=*', '--no-warnings', '--input-type=module', '-e', program];
    execFile(node ?? '', args, { cwd: root, timeout: 20_000 }, (_error, out, err) => resolve(out === '' ? err : JSON.parse(out)));
  });
}

describe.skipIf(node === undefined)('with --permission', () => {
  it('and without --allow-net everything ends with WS_PERMISSION', { timeout: 30_000 }, async () => {
    expect(await codes('--permission')).toEqual(new Array(7).fill('WS_PERMISSION EndpointError'));
  });

  it('and with --allow-net all is as without', { timeout: 30_000 }, async () => {
    const refused = 'WS_CONNECT_REFUSED EndpointError';
    const found = await codes('--permission', '--allow-net', '--allow-fs-write=*');
    expect(found).toEqual(['listened', 'listened', 'listened', 'listened', refused, refused, refused]);
  });
});

const overUnix = `
import { connect, listen } from '@ferrywire/node';
const socketPath = '${root}node_modules/none.sock';
const codeOf = (error) => error.code + ' ' + error.name;
const dialled = await connect('ws://a/', { socketPath }).catch(codeOf);
console.log(JSON.stringify([dialled, await listen({ socketPath }).then((server) => server.close().then(() => 'listened'), codeOf)]));
`;

describe.skipIf(deno === undefined)('on Deno', () => {
  it.each([
    ['nothing', [], ['WS_PERMISSION EndpointError', 'WS_PERMISSION EndpointError']],
    ['the network', ['--allow-net'], ['WS_PERMISSION EndpointError', 'WS_PERMISSION EndpointError']],
    ['files too', ['--allow-net', '--allow-write'], ['WS_CONNECT_REFUSED EndpointError', 'listened']],
  ] as const)('a unix socket where it may use %s', { timeout: 30_000 }, async (_what, flags, expected) => {
    const found = await new Promise((resolve) => {
      const child = execFile(
        deno ?? '',
        [...denoArguments, '--allow-env', ...flags, '-'],
        { cwd: root, timeout: 20_000 },
        (_error, out, err) => resolve(out === '' ? err : JSON.parse(out)),
      );
      child.stdin?.end(overUnix);
    });
    expect(found).toEqual(expected);
  });
});
