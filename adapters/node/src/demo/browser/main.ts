/**
 * The page of `npm start`. It has two clients to choose from: the browser's own WebSocket, and the raw peer, which lives in the demo's
 * server and is told what to do over the control channel. What it shows comes from the server's trace, whoever the client is.
 */
import { BrowserClient } from './browser-client.ts';
import { byId, make } from './dom.ts';
import { WireLog } from './log.ts';
import { Machine } from './machine.ts';
import type { ClientName, Command, IllegalChoice, Snapshot, ToPage, Verdict } from './messages.ts';

const FILL = { messages: 64, size: 16_384 };
/** While bytes are waiting somewhere, the browser's own buffer is looked at so often. */
const LOOK_MS = 200;

const log = new WireLog(byId('log', HTMLOListElement), byId('log-box', HTMLDivElement));
const machine = new Machine(byId('machine', SVGSVGElement), byId('state', HTMLElement));
const browser = new BrowserClient({ changed: update, said: (text) => log.note(text) });
const connections = new Map<number, Snapshot>();
let control: WebSocket | null = null;
let token = '';
/** The connection that the drawing and the meters are about. */
let shown = 0;

function selected(): ClientName {
  return byId('client-raw', HTMLInputElement).checked ? 'raw' : 'browser';
}
function latest(client: ClientName): Snapshot | null {
  let found: Snapshot | null = null;
  for (const snapshot of connections.values()) if (snapshot.client === client) found = snapshot;
  return found;
}
function isOpen(client: ClientName): boolean {
  const snapshot = latest(client);
  const alive = snapshot !== null && !snapshot.gone && snapshot.state === 'open';
  return client === 'browser' ? browser.isOpen && alive : alive;
}
function canConnect(client: ClientName): boolean {
  const snapshot = latest(client);
  return token !== '' && (client === 'browser' ? browser.isIdle : snapshot === null || snapshot.gone);
}

function tell(command: Command): void {
  control?.send(JSON.stringify(command));
}
function complain(message: string): void {
  byId('problem', HTMLElement).textContent = message;
}

/** Not the attribute `disabled`: a button that has the focus keeps it. */
function enable(id: string, enabled: boolean): void {
  byId(id, HTMLButtonElement).setAttribute('aria-disabled', String(!enabled));
}
function isEnabled(button: HTMLButtonElement): boolean {
  return button.getAttribute('aria-disabled') !== 'true';
}

function meter(id: string, value: number): void {
  const bar = byId(id, HTMLMeterElement);
  bar.max = Math.max(bar.max, value);
  bar.value = value;
  const text = `${value.toLocaleString('en')} bytes`;
  bar.textContent = text;
  byId(`${id}-value`, HTMLElement).textContent = text;
}

function update(): void {
  const client = selected();
  const open = isOpen(client);
  const snapshot = connections.get(shown) ?? null;
  enable('connect', canConnect(client));
  for (const id of ['send-text', 'send-binary', 'send-fragments', 'send-ping', 'send-close', 'fill']) enable(id, open);
  const paused = latest(client)?.paused === true;
  enable('pause', open && !paused);
  enable('resume', open && paused);
  for (const button of document.querySelectorAll('#illegal button')) button.setAttribute('aria-disabled', String(token === ''));
  byId('status', HTMLElement).textContent = describe(client);
  if (snapshot === null) return;
  const isBrowser = snapshot.client === 'browser';
  machine.show(snapshot.state, `#${snapshot.connection} ${isBrowser ? 'browser' : 'raw peer'}`);
  const unsent = snapshot.gone ? 0 : isBrowser ? browser.unsent : (snapshot.unsent ?? 0);
  const sent = isBrowser ? browser.sent : (snapshot.sent ?? 0);
  meter('unsent', unsent);
  meter('way', snapshot.gone ? 0 : Math.max(0, sent - unsent - snapshot.received));
  meter('held', snapshot.gone ? 0 : snapshot.held);
  meter('answers', snapshot.gone ? 0 : snapshot.answers);
  byId('reader', HTMLElement).textContent = snapshot.paused && !snapshot.gone ? 'paused' : 'reading';
}

function describe(client: ClientName): string {
  const name = client === 'raw' ? 'The raw peer' : 'This browser';
  if (token === '') return 'No control channel: reload the page.';
  if (!isOpen(client)) return `${name} is not connected.`;
  const subprotocol = latest(client)?.subprotocol ?? null;
  return `${name} is connected${subprotocol === null ? '' : `, subprotocol ${subprotocol}`}.`;
}

function showVerdict({ connection, clean, code, reason, cause }: Verdict): void {
  const box = byId('verdict', HTMLElement);
  const words = make('p');
  if (cause === null) {
    words.append(
      `#${connection} ended: ${clean ? 'clean' : 'not clean'}, code ${code}${reason === '' ? '' : ` ${JSON.stringify(reason)}`}.`,
    );
  } else {
    words.append(
      `#${connection} failed: `,
      make('code', cause.code),
      ', close code ',
      make('strong', String(cause.closeCode)),
      ', ',
      make('strong', cause.section),
      `: ${cause.message}.`,
    );
  }
  box.replaceChildren(words);
}

function addIllegal(choices: readonly IllegalChoice[]): void {
  const items = choices.map(({ name, label, bytes }) => {
    const item = make('li');
    const button = make('button', label, { type: 'button', id: `illegal-${name}`, 'aria-describedby': `bytes-${name}` });
    button.addEventListener('click', () => {
      if (isEnabled(button)) tell({ do: 'illegal', name });
    });
    item.append(button, ' ', make('code', bytes, { id: `bytes-${name}`, class: 'hex' }));
    return item;
  });
  byId('illegal', HTMLUListElement).replaceChildren(...items);
}

function receive(message: ToPage): void {
  if (message.type === 'hello') {
    token = message.token;
    addIllegal(message.illegal);
  } else if (message.type === 'lines') {
    log.add(message.lines);
    if (message.dropped > 0) log.note(`${message.dropped} lines were left out: they came faster than this page took them`);
  } else if (message.type === 'connection') {
    if (!connections.has(message.connection)) shown = message.connection;
    connections.set(message.connection, message);
    // Those that are over and not shown need no memory.
    for (const [id, { gone, client }] of connections) if (gone && id !== shown && latest(client)?.connection !== id) connections.delete(id);
  } else if (message.type === 'verdict') showVerdict(message);
  else complain(message.message);
  update();
}

/** A command that the chosen client carries out, the browser's own part done here. */
function act(run: (client: ClientName) => void): void {
  complain('');
  const client = selected();
  shown = latest(client)?.connection ?? shown;
  try {
    run(client);
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
  update();
}

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  const digits = hex.replace(/\s+/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) throw new Error('Bytes are pairs of the digits 0 to 9 and a to f.');
  return new Uint8Array(digits.match(/../g)?.map((pair) => Number.parseInt(pair, 16)) ?? []);
}

function onSubmit(id: string, run: (client: ClientName) => void): void {
  const form = byId(id, HTMLFormElement);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const button = form.querySelector('button');
    if (button !== null && isEnabled(button)) act(run);
  });
}
function onClick(id: string, run: (client: ClientName) => void): void {
  const button = byId(id, HTMLButtonElement);
  button.addEventListener('click', () => {
    if (isEnabled(button)) act(run);
  });
}
const inputOf = (id: string): string => byId(id, HTMLInputElement).value;

onSubmit('form-connect', (client) => {
  const subprotocol = inputOf('subprotocol').trim();
  if (client === 'raw') tell({ do: 'connect', subprotocol });
  else browser.connect(`${endpoint}?log=${token}`, subprotocol);
});
onSubmit('form-text', (client) => {
  const text = inputOf('text');
  if (client === 'raw') tell({ do: 'text', client, text });
  else browser.send(text);
});
onSubmit('form-binary', (client) => {
  const bytes = bytesOf(inputOf('binary'));
  if (client === 'raw') tell({ do: 'binary', client, hex: inputOf('binary') });
  else browser.send(bytes);
});
onSubmit('form-fragments', (client) => {
  tell({ do: 'fragments', client, text: inputOf('fragments'), parts: Number(inputOf('parts')) });
});
onSubmit('form-ping', (client) => tell({ do: 'ping', client, text: inputOf('ping') }));
onSubmit('form-close', (client) => {
  const code = inputOf('code') === '' ? null : Number(inputOf('code'));
  const reason = inputOf('reason');
  if (client === 'raw') tell({ do: 'close', client, code, reason });
  else browser.close(code, reason);
});
onClick('pause', (client) => tell({ do: 'pause', client }));
onClick('resume', (client) => tell({ do: 'resume', client }));
onClick('fill', (client) => {
  if (client === 'raw') tell({ do: 'fill', client, ...FILL });
  else for (let index = 0; index < FILL.messages; index++) browser.send(new Uint8Array(FILL.size));
});
byId('clear', HTMLButtonElement).addEventListener('click', () => log.clear());
for (const id of ['client-browser', 'client-raw']) {
  byId(id, HTMLInputElement).addEventListener('change', () => {
    shown = latest(selected())?.connection ?? shown;
    update();
  });
}

const endpoint = `${location.origin.replace(/^http/, 'ws')}/`;
byId('address', HTMLElement).textContent = endpoint;
control = new WebSocket(`${endpoint}demo/control`);
control.addEventListener('message', ({ data }: MessageEvent<string>) => receive(JSON.parse(data) as ToPage));
control.addEventListener('close', ({ code }) => {
  token = '';
  log.note(`the control channel is closed (${code}): reload the page`);
  update();
});
setInterval(() => {
  if (browser.unsent > 0 || Number(byId('unsent', HTMLMeterElement).value) > 0) update();
}, LOOK_MS);
update();
