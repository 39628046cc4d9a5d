/** The wire log: one entry per line of the server's trace. A line that is a frame opens to the bits of its header. */
import { make } from './dom.ts';
import { bitFields, wireHex } from './frame-bits.ts';
import type { FrameView, Line } from './messages.ts';

/** Older lines are taken out, so that a page left open does not grow. */
const MOST_LINES = 500;

function bitsTable(frame: FrameView): HTMLTableElement {
  const table = make('table');
  table.append(make('caption', 'Header, bit by bit'));
  const head = make('tr');
  for (const title of ['Field', 'Bits or bytes', 'Meaning']) head.append(make('th', title, { scope: 'col' }));
  const top = make('thead');
  top.append(head);
  const body = make('tbody');
  for (const { name, bits, meaning } of bitFields(frame)) {
    const row = make('tr');
    const value = make('td');
    value.append(make('code', bits));
    row.append(make('th', name, { scope: 'row' }), value, make('td', meaning));
    body.append(row);
  }
  table.append(top, body);
  return table;
}

export class WireLog {
  readonly #list: HTMLElement;
  readonly #box: HTMLElement;

  constructor(list: HTMLElement, box: HTMLElement) {
    this.#list = list;
    this.#box = box;
  }

  add(lines: readonly Line[]): void {
    const atEnd = this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < 40;
    for (const line of lines.slice(-MOST_LINES)) this.#list.append(this.#item(line));
    while (this.#list.childElementCount > MOST_LINES) this.#list.firstElementChild?.remove();
    // Only for a reader who was at the end: nobody is torn away from the line they have opened.
    if (atEnd) this.#box.scrollTop = this.#box.scrollHeight;
  }

  note(text: string): void {
    this.#list.append(make('li', text, { class: 'note' }));
    this.#box.scrollTop = this.#box.scrollHeight;
  }

  clear(): void {
    this.#list.replaceChildren();
  }

  #item({ connection, client, direction, text, at, frame }: Line): HTMLLIElement {
    const item = make('li', '', { class: direction, 'data-connection': String(connection) });
    const who = make('span', `#${connection} ${client === 'raw' ? 'raw peer' : 'browser'}`, { class: 'who' });
    const time = make('span', `${(at / 1000).toFixed(3)} s`, { class: 'at' });
    const said = make('code', text, { class: 'said' });
    if (frame === null) {
      item.append(who, ' ', time, ' ', said);
      return item;
    }
    const details = make('details');
    const summary = make('summary');
    summary.append(who, ' ', time, ' ', said, ' ', make('code', wireHex(frame), { class: 'hex' }));
    details.append(summary);
    // Made when it is first looked at: most lines never are.
    details.addEventListener('toggle', () => details.append(bitsTable(frame)), { once: true });
    item.append(details);
    return item;
  }
}
