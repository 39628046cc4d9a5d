/**
 * The page of the demo, and what its HTTP server answers. One document without any other resource, so it works offline.
 */
import { createHash } from 'node:crypto';

export interface PageResponse {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
}

const style = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
  form { display: flex; gap: .5rem; margin: .5rem 0; flex-wrap: wrap; }
  input { flex: 1 1 12rem; }
  input, button { font: inherit; padding: .35rem .6rem; }
  #log { border: 1px solid; min-height: 12rem; padding: .5rem .5rem .5rem 2.5rem; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
`;

const script = `
  const byId = (id) => document.getElementById(id);
  const log = (text) => {
    const line = document.createElement('li');
    line.textContent = text;
    byId('log').append(line);
    line.scrollIntoView({ block: 'nearest' });
  };
  let socket = null;
  const show = () => {
    const open = socket !== null && socket.readyState === WebSocket.OPEN;
    byId('state').textContent = open ? 'open' : socket === null || socket.readyState === WebSocket.CLOSED ? 'closed' : 'connecting';
    byId('connect').textContent = socket === null || socket.readyState === WebSocket.CLOSED ? 'Connect' : 'Close';
    byId('send').disabled = !open;
  };
  byId('url').value = location.origin.replace(/^http/, 'ws') + '/';
  byId('dial').addEventListener('submit', (event) => {
    event.preventDefault();
    if (socket !== null && socket.readyState !== WebSocket.CLOSED) {
      socket.close(1000);
      return;
    }
    try {
      socket = new WebSocket(byId('url').value);
    } catch (error) {
      log('! ' + error.message);
      return;
    }
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { log('open'); show(); };
    socket.onmessage = (event) => log('< ' + (typeof event.data === 'string' ? event.data : event.data.byteLength + ' bytes'));
    socket.onclose = (event) => { log('closed ' + event.code + (event.reason === '' ? '' : ' ' + event.reason) + (event.wasClean ? '' : ' (not clean)')); show(); };
    show();
  });
  byId('talk').addEventListener('submit', (event) => {
    event.preventDefault();
    const text = byId('text').value;
    socket.send(text);
    log('> ' + text);
    byId('text').value = '';
  });
  show();
`;

const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>ferrywire echo</title>
<style>${style}</style>
<h1>Echo</h1>
<p>The server sends back what it gets. State: <output id="state">closed</output></p>
<form id="dial"><label for="url">Address</label> <input id="url" autocomplete="off" spellcheck="false"> <button id="connect">Connect</button></form>
<form id="talk"><label for="text">Message</label> <input id="text" autocomplete="off"> <button id="send" disabled>Send</button></form>
<ol id="log" role="log" aria-label="Messages" tabindex="0"></ol>
<script>${script}</script>
</html>
`;

function sourceOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

const policy = [
  "default-src 'none'",
  `script-src ${sourceOf(script)}`,
  `style-src ${sourceOf(style)}`,
  'connect-src ws: wss:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** What to answer to a plain HTTP request. */
export function page(method: string, target: string): PageResponse {
  const common = { 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' };
  const text = { ...common, 'Content-Type': 'text/plain; charset=utf-8' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { ...text, Allow: 'GET, HEAD' }, body: 'method not allowed\n' };
  const path = target.split('?', 1)[0];
  if (path !== '/') return { status: 404, headers: text, body: 'not found\n' };
  return { status: 200, headers: { ...common, 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy }, body: html };
}
