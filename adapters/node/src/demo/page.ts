/**
 * The page of the demo, and what its HTTP server answers. The document, its style and its scripts come from this server and from nowhere
 * else: the policy in its headers forbids the rest, so the page works without a network.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { html } from './html.ts';
import { style } from './style.ts';

export interface PageResponse {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
}

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  'img-src data:',
  'connect-src ws: wss:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** By path. Nothing of what a client asks for becomes a file name. */
const assets: ReadonlyMap<string, { readonly type: string; readonly body: string }> = loadAssets();

function loadAssets(): Map<string, { type: string; body: string }> {
  const found = new Map([
    ['/', { type: 'text/html', body: html }],
    ['/demo/style.css', { type: 'text/css', body: style }],
  ]);
  const folder = new URL('./browser/', import.meta.url);
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.js')) continue;
    // The maps are not served.
    const body = readFileSync(new URL(name, folder), 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, '');
    found.set(`/demo/${name}`, { type: 'text/javascript', body });
  }
  return found;
}

const common = { 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' };
const text = { ...common, 'Content-Type': 'text/plain; charset=utf-8' };

/** To an opening handshake that does not ask for the upgrade (RFC 6455 section 4.2.1). */
export const upgradeRequired: PageResponse = {
  status: 426,
  headers: { ...text, Connection: 'Upgrade, close', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
  body: 'Upgrade and Connection: Upgrade are needed\n',
};

/** What to answer to a plain HTTP request. */
export function page(method: string, target: string): PageResponse {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { ...text, Allow: 'GET, HEAD' }, body: 'method not allowed\n' };
  const asset = assets.get(target.split('?', 1)[0] ?? '');
  if (asset === undefined) return { status: 404, headers: text, body: 'not found\n' };
  return {
    status: 200,
    headers: { ...common, 'Content-Type': `${asset.type}; charset=utf-8`, 'Content-Security-Policy': policy },
    body: asset.body,
  };
}
