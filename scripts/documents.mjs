/**
 * The documents that are generated: `docs/states.md` from the core's state tables, `docs/errors.md` from the tables of failures. Pure
 * functions of what they are given; `scripts/docs.mjs` reads and writes the files, and a test compares.
 */

/**
 * @typedef {Readonly<Record<string, Readonly<Record<string, string | null>>>>} StateTable
 * @typedef {Readonly<Record<string, { server: string, client: string, sends: boolean, parses: boolean, terminal: boolean, state: string }>>} Meanings
 * @typedef {{ code: string, section: string, message: string, closeCode?: number, status?: number }} Failure
 * @typedef {{ code: string, text: string }} Described
 */

/** @param {readonly (readonly string[])[]} rows The first is the head. */
function table(rows) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n');
}

/** @param {string} name */
const code = (name) => `\`${name}\``;
/** @param {boolean} value */
const yes = (value) => (value ? 'yes' : 'no');

/**
 * A state diagram of one table. Inputs that lead the same way share an arrow; a failure (`WS_…`) is a state of its own.
 *
 * @param {StateTable} states
 * @param {string} initial
 */
export function mermaid(states, initial) {
  /** @type {Map<string, string[]>} */
  const arrows = new Map();
  for (const [from, row] of Object.entries(states)) {
    for (const [input, to] of Object.entries(row)) {
      if (to === null) continue;
      const arrow = `${from} --> ${to}`;
      arrows.set(arrow, [...(arrows.get(arrow) ?? []), input]);
    }
  }
  const lines = [...arrows].map(([arrow, inputs]) => `  ${arrow}: ${inputs.join(', ')}`);
  return ['```mermaid', 'stateDiagram-v2', `  [*] --> ${initial}`, ...lines, '```'].join('\n');
}

/** @param {StateTable} states */
function stateRows(states) {
  const inputs = Object.keys(Object.values(states)[0] ?? {});
  const rows = Object.entries(states).map(([state, row]) => [
    code(state),
    ...inputs.map((input) => {
      const next = row[input];
      return next === null || next === undefined ? 'impossible' : code(next);
    }),
  ]);
  return table([['state', ...inputs.map(code)], ...rows]);
}

/**
 * @param {{ fragmentation: StateTable, lifecycle: StateTable, meaning: Meanings, words: Readonly<Record<string, string>> }} tables `words`:
 *   a sentence for each state of `lifecycle`.
 */
export function statesDocument({ fragmentation, lifecycle, meaning, words }) {
  const meanings = Object.entries(meaning).map(([state, entry]) => [
    code(state),
    words[state] ?? '',
    code(entry.server),
    code(entry.client),
    yes(entry.sends),
    yes(entry.parses),
    yes(entry.terminal),
    code(entry.state),
  ]);
  return `# State machines

Generated from \`packages/core/src/state.ts\` by \`npm run docs\`; a test fails when this page is stale. Everything that changes the state of a
connection goes through these two tables.

## Frames of messages (RFC 6455 section 5.4)

The same table orders the frames that come in and those that go out. Control frames are no input: they may come between any two frames.
A \`WS_…\` is no state: coming in, it fails the connection; going out, it is misuse by the application and throws.

${mermaid(fragmentation, 'idle')}

${stateRows(fragmentation)}

- \`whole\`: a text or binary frame with FIN; \`first\`: one without
- \`last\`: a continuation frame with FIN; \`middle\`: one without

## The connection (RFC 6455 section 7.1)

${mermaid(lifecycle, 'open')}

${stateRows(lifecycle)}

- \`sendClose\`: our close frame is queued; \`receiveClose\`: the peer's has arrived
- \`fail\`: the peer broke a rule, a deadline passed, or the application called \`fail()\`
- \`eof\`: the peer ended the transport; \`abort\`: it broke, or is to be dropped
- impossible: in that state no frame is parsed any more

## What a state means

${table([
  ['state', 'in words', 'directive of a server', 'of a client', 'sends frames', 'parses input', 'over', '`Connection.state`'],
  ...meanings,
])}

The role counts in one place only: in a normal close the server ends TCP first, and the client waits for it (RFC 6455 section 7.1.1).
`;
}

/**
 * @param {{ violations: readonly Failure[], handshake: readonly Failure[], endpoint: readonly Described[], misuse: readonly Described[] }} tables
 */
export function errorsDocument({ violations, handshake, endpoint, misuse }) {
  return `# Errors

Generated from the tables in the sources by \`npm run docs\`; a test fails when this page is stale. Every code is a member of a closed union of
strings, so a \`switch\` over it is checked for completeness.

Three kinds, and they never mix:

- what the *peer* does wrong is never thrown: it ends the connection, and \`end\` carries the violation
- what the *caller* does wrong throws at once, with a message that names the argument
- a *race* is neither: sending on a connection that is closing returns false

\`\`\`ts
// example: narrowing a cause
import assert from 'node:assert/strict';
import { Connection, type EndInfo } from '@ferrywire/core';

function describe({ clean, code, cause }: EndInfo): string {
  if (cause === null) return clean ? \`closed with \${code}\` : 'gone';
  switch (cause.code) {
    case 'WS_EOF':
    case 'WS_TRANSPORT':
      return 'the network ended it';
    case 'WS_MESSAGE_TOO_BIG':
      return 'more than this endpoint takes';
    default:
      return \`\${cause.message} (\${cause.section})\`;
  }
}

const server = new Connection({ role: 'server', clock: () => 0 });
server.receiveData(Uint8Array.of(0x83, 0x80)); // opcode 3
server.receiveEof();
const end = [...server.events()].at(-1);
assert(end?.type === 'end');
assert.equal(describe(end), 'the opcode is reserved and no extension defines it (RFC 6455 5.2)');
\`\`\`

## Violations: \`EndInfo.cause\`

The close code is what goes into the close frame; 1006 means that none can be sent.

${table([
  ['code', 'close code', 'section', 'meaning'],
  ...violations.map((entry) => [code(entry.code), String(entry.closeCode ?? ''), entry.section, entry.message]),
])}

## Handshake: \`HandshakeErrorCode\`

In the event \`refused\`, in \`decideUpgrade\`'s answer and in \`ClientUpgrade.verify\`'s. The status is what a server answers; none means that
only a client finds the fault. Some faults are answered with another status where a section asks for one: 414 for a request line that is too
long, 501 for a transfer coding, 403 for a host that is not served.

${table([
  ['code', 'status', 'section', 'meaning'],
  ...handshake.map((entry) => [code(entry.code), entry.status === 0 ? '' : String(entry.status), entry.section, entry.message]),
])}

## Endpoints: \`EndpointError.code\`

What \`listen\`, \`attach\` and \`connect\` of the adapters reject with.

${table([['code', 'meaning'], ...endpoint.map((entry) => [code(entry.code), entry.text])])}

## Misuse: \`Error.code\`

Thrown at the call that is wrong. Arguments of a wrong type throw a TypeError, values out of range a RangeError; both name the argument.

${table([['code', 'meaning'], ...misuse.map((entry) => [code(entry.code), entry.text])])}
`;
}

/**
 * The members of a union of string literals, each with the comment above it.
 *
 * @param {string} source
 * @param {string} name
 * @returns {Described[]}
 */
export function describedUnion(source, name) {
  const start = source.indexOf(`type ${name} =`);
  if (start < 0) throw new Error(`there is no union ${name}`);
  // Sentences may have semicolons, too.
  const body = source.slice(start, source.indexOf("';", start) + 1);
  return [...body.matchAll(/\/\*\*\s*(.*?)\s*\*\/\s*\|\s*'(\w+)'/gs)].map(([, text = '', member = '']) => ({ code: member, text }));
}

/**
 * The list in a doc comment: `- \`name\`: sentence`.
 *
 * @param {string} source
 * @returns {Record<string, string>}
 */
export function describedList(source) {
  return Object.fromEntries([...source.matchAll(/^ \* - `(\w+)`: (.*)$/gm)].map(([, name = '', text = '']) => [name, text]));
}

/** What each member of an adapter's `capabilities` is called in the table. */
const capabilityNames = {
  server: 'listener of its own',
  client: 'dials out',
  tls: 'TLS',
  http2: 'HTTP/2',
  unixSockets: 'unix sockets',
  compression: 'permessage-deflate on',
  halfClose: 'half-close',
  refUnref: 'ref and unref',
  resetVisible: "a peer's reset is told from its end",
  resetSent: '`abort()` sends a reset',
  synchronousWrite: 'writes synchronously, so output memory is reused',
};

/**
 * The table of what adapters can do, put between its two marks in a document.
 *
 * @param {string} document
 * @param {Readonly<Record<string, import('@ferrywire/driver').Capabilities>>} adapters By name.
 */
export function withCapabilities(document, adapters) {
  const names = Object.keys(adapters);
  const rows = Object.entries(capabilityNames).map(([key, name]) => [
    name,
    ...names.map((adapter) => {
      const value = adapters[adapter]?.[/** @type {keyof import('@ferrywire/driver').Capabilities} */ (key)];
      return typeof value === 'string' ? value : yes(value === true);
    }),
  ]);
  const marks = /(<!-- capabilities: written by `npm run docs` -->\n)[\s\S]*?(<!-- end of capabilities -->)/;
  if (!marks.test(document)) throw new Error('the marks of the table of capabilities are missing');
  return document.replace(marks, (_, before, after) => `${before}\n${table([['', ...names.map(code)], ...rows])}\n\n${after}`);
}
