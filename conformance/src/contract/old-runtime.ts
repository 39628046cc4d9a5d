// Prints the codes of what an adapter refuses on a runtime that says it is of an older version than the adapter needs.
import { hostNamed } from './hosts.ts';

const old = { node: '20.18.3', bun: '1.3.14', deno: '2.8.3' } as const;
const { bun, deno } = process.versions;
const versions = { ...process.versions };
if (bun !== undefined) versions.bun = old.bun;
else if (deno !== undefined) versions.deno = old.deno;
else versions.node = old.node;
Object.defineProperty(process, 'versions', { value: versions });
const { Deno } = globalThis as { readonly Deno?: { readonly version: object } };
if (Deno !== undefined) Object.defineProperty(Deno, 'version', { value: { ...Deno.version, deno: old.deno } });

const { listen, connect } = await hostNamed(process.argv[2]);
const said = (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => 'nothing failed',
    (error: { readonly code?: unknown; readonly message?: unknown }) => [error.code, error.message],
  );
console.log(
  JSON.stringify({
    listen: await said(listen({ host: '127.0.0.1', port: 0, handlers: {} })),
    connect: await said(connect('ws://127.0.0.1:9/', { handlers: {} })),
  }),
);
process.exit();
