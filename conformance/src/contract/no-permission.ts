// Prints the codes of what a runtime without access to the network refuses.
import { hostNamed } from './hosts.ts';

const { listen, connect } = await hostNamed(process.argv[2]);
const codeOf = (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => 'nothing failed',
    (error: { readonly code?: unknown }) => error.code ?? String(error),
  );
console.log(
  JSON.stringify({
    listen: await codeOf(listen({ host: '127.0.0.1', port: 0, handlers: {} })),
    connect: await codeOf(connect('ws://127.0.0.1:9/', { handlers: {} })),
  }),
);
process.exit();
