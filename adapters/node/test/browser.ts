/** The browser of the machine, for tests that need one; where there is none, the reason. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];

/** `FERRYWIRE_CHROMIUM` names another one. */
export function findChromium(): { readonly path: string } | { readonly reason: string } {
  const named = process.env.FERRYWIRE_CHROMIUM;
  if (named !== undefined) return existsSync(named) ? { path: named } : { reason: `FERRYWIRE_CHROMIUM: there is no ${named}` };
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const path = folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find((file) => existsSync(file));
  return path === undefined ? { reason: `no Chromium on the PATH (${NAMES.join(', ')})` } : { path };
}
