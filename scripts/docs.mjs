/**
 * `npm run docs`: writes the generated documents. `generated()` is what they should be; a test compares it with what is there.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readOptions } from './arguments.mjs';
import { describedList, describedUnion, errorsDocument, statesDocument, withCapabilities } from './documents.mjs';
import { root } from './runtimes.mjs';

/** What each code of misuse means. The test compares the keys with the codes that occur in the sources. */
export const misuse = {
  WS_MISUSE_MESSAGE_OPEN: 'a message was sent while a fragmented one, or a `MessageWriter`, is open (RFC 6455 section 5.4)',
  WS_MISUSE_NO_MESSAGE: '`sendContinuation` without a fragmented message to continue',
  WS_MISUSE_WRITER_ENDED: 'a `MessageWriter` was used after its `end()`',
  WS_MISUSE_REENTRANT: '`receiveData` was called from inside a callback of the sink',
};

/** @param {string} path */
const read = (path) => readFileSync(join(root, path), 'utf8');
/** @param {string} path */
const load = (path) => import(pathToFileURL(join(root, path)).href);

/** Every `WS_MISUSE_…` that the sources mention. */
export function misuseInSources() {
  const files = readdirSync(join(root, 'packages/core/src')).filter((file) => file.endsWith('.ts'));
  const text = files.map((file) => read(`packages/core/src/${file}`)).join('\n');
  return [...new Set(text.match(/WS_MISUSE_\w+/g) ?? [])].sort();
}

/** @returns {Promise<Record<string, string>>} Text by path. */
export async function generated() {
  const { fragmentation, lifecycle, meaning } = await load('packages/core/dist/state.js');
  const { violations } = await load('packages/core/dist/violations.js');
  const { handshakeErrors } = await load('packages/handshake/dist/errors.js');
  const hosts = await Promise.all(
    ['node', 'bun', 'deno', 'streams'].map(async (host) => [host, (await load(`adapters/${host}/dist/capabilities.js`)).capabilities]),
  );
  return {
    'README.md': withCapabilities(read('README.md'), Object.fromEntries(hosts)),
    'docs/states.md': statesDocument({ fragmentation, lifecycle, meaning, words: describedList(read('packages/core/src/state.ts')) }),
    'docs/errors.md': errorsDocument({
      violations: Object.values(violations),
      handshake: Object.values(handshakeErrors),
      endpoint: describedUnion(read('packages/driver/src/errors.ts'), 'EndpointErrorCode'),
      misuse: Object.entries(misuse).map(([code, text]) => ({ code, text })),
    }),
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  readOptions('use: npm run docs\n\nWrites the documents, and the parts of the README, that are made from the sources.', {});
  for (const [path, text] of Object.entries(await generated())) {
    writeFileSync(join(root, path), text);
    console.log(`wrote ${path}`);
  }
}
