/** Mistakes in options: found by `listen` and `connect` themselves, before anybody is dialled or can connect, by the name of the option. */
import type { AdapterUnderTest, ContractConnect, ContractListen } from './adapter.ts';
import { type ContractCase, contractCase, equal } from './case.ts';
import type { Scope } from './support.ts';
import { within } from './wait.ts';

type Wrong = readonly (readonly [option: string, values: readonly unknown[]])[];

const objects = [1, 'x', true, null];
const numbers = ['x', -1, Number.NaN, null];
const booleans = ['x', 1, null];
const functions = ['x', 1, {}, null];

const shared: Wrong = [
  ['handlers', objects],
  ['handlers.onMessage', functions],
  ['handlers.onEnd', functions],
  ['highWaterMark', numbers],
  ['pull', booleans],
  ['limits', objects],
  ['limits.maxMessageSize', numbers],
  ['limits.maxFrameSize', numbers],
  ['limits.maxPendingPongs', numbers],
  ['limits.maxFragments', numbers],
  ['limits.maxMesageSize', [1]],
  ['timeouts', objects],
  ['timeouts.opening', ['x', -1, Number.NaN]],
  ['timeouts.closing', ['x', -1, Number.NaN]],
  ['timeouts.keepalive', numbers],
  ['timeouts.pong', numbers],
  ['timeouts.idle', numbers],
  ['timeouts.keepAlive', [1]],
  ['lenient', objects],
  ['delivery', ['x', 1, null]],
  ['autoPong', booleans],
  ['autoClose', booleans],
  ['onTrace', functions],
  ['random', functions],
  ['kernels', objects],
  ['kernels.isUtf8', functions],
  ['http', objects],
  ['http.maxBodySize', ['x', -1, Number.NaN]],
  ['http.maxBodysize', [1]],
];
const ofServers: Wrong = [
  ...shared,
  ['policy', objects],
  ['policy.subprotocols', [1, ['a b'], [1]]],
  ['policy.requireSubprotocol', booleans],
  ['policy.extensions', [1, {}, [1], [{}]]],
  ['policy.origins', [1, 'x', [1]]],
  ['policy.origin', [['https://a.example']]],
  ['policy.hosts', [1, ['a b'], [1]]],
  ['policy.path', [1, 'x', {}]],
  ['policy.headers', [1, [['Upgrade', 'x']]]],
];
const ofClients: Wrong = [
  ...shared,
  ['signal', [1, {}, null]],
  ['subprotocols', [1, ['a b'], ['a', 'a'], [1]]],
  ['requireSubprotocol', booleans],
  ['extensions', [1, {}, [1], [{}]]],
  ['origin', [1, 'a\r\nb', '']],
  ['headers', [1, {}, [['a']], [['Host', 'x']], [['X', 'a\r\nb']]]],
];
const places: Wrong = [
  ['host', [1, '', 'a\0', null]],
  ['socketPath', [1, '', 'a\0', null]],
  ['tls', objects],
];
const targets: Wrong = [
  ['servername', [1, '', null]],
  ['socketPath', [1, '', 'a\0', null]],
  ['tls', objects],
];

/** `{ limits: { maxFragments: value } }` of 'limits.maxFragments'. */
function given(option: string, value: unknown): object {
  return option.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
}

/** A SyntaxError is what the WHATWG class throws for subprotocols. */
async function checked(wrong: Wrong, attempt: (options: object) => Promise<unknown>): Promise<void> {
  for (const [option, values] of wrong) {
    for (const value of values) {
      const said = await within(attempt(given(option, value)), `a wrong ${option} to be refused`).then(
        () => 'nothing',
        (error: unknown) =>
          error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError ? error.message : `${error}`,
      );
      const named = [option, option.split('.').at(-1) ?? option].some((name) => said.includes(`.${name}`) || said.startsWith(`${name} `));
      equal(named ? option : said, option, `what is named for ${option}: ${JSON.stringify(value)}`);
    }
  }
}

/** The options as a whole. Other hosts take them apart themselves. */
async function noOptions(attempt: (options: object) => Promise<unknown>, { http2, transportOf }: AdapterUnderTest): Promise<void> {
  if (http2 === true || transportOf === undefined) return;
  await checked([['options', objects]], (options) => attempt((options as { options: object }).options));
}

async function ofListen({ adapter }: Scope): Promise<void> {
  const base: ContractListen = { host: '127.0.0.1', port: 0, handlers: {} };
  const wrong = [...ofServers, ...(adapter.capabilities.server ? places : [])];
  await checked(wrong, (options) => adapter.listen({ ...base, ...options }));
  await noOptions((options) => adapter.listen(options as ContractListen), adapter);
}

async function ofConnect(scope: Scope): Promise<void> {
  const { adapter } = scope;
  const base: ContractConnect = { handlers: {} };
  // Over streams somebody else has dialled; elsewhere nobody listens, and whoever dials first says so.
  const url = adapter.capabilities.client ? 'ws://127.0.0.1:1/' : (await scope.serve()).url;
  const wrong = [
    ...ofClients.filter(([option]) => adapter.capabilities.client || option !== 'signal'),
    ...(adapter.capabilities.client ? targets : []),
  ];
  await checked(wrong, (options) => adapter.connect(url, { ...base, ...options }));
  await noOptions((options) => adapter.connect(url, options as ContractConnect), adapter);
}

export function mistakeCases(adapter: AdapterUnderTest): ContractCase[] {
  return [
    contractCase(adapter, 'mistakes: in the options of listen', ofListen),
    contractCase(adapter, 'mistakes: in the options of connect', ofConnect),
  ];
}
