/**
 * The connection's state machine as a drawing, the current state lit. Which arrows there are is what the core's table `lifecycle` says; a
 * test of the demo compares them. Arrows that leave every state of a group are drawn once, from the group.
 */
import { makeSvg } from './dom.ts';
import type { StateName } from './messages.ts';

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const WIDTH = 96;
const HEIGHT = 30;

/** Centres of the states. */
export const places: { readonly [State in StateName]: readonly [x: number, y: number] } = {
  open: [122, 42],
  closeSent: [64, 118],
  closeReceived: [180, 118],
  closed: [122, 200],
  failed: [296, 118],
  ended: [100, 290],
  aborted: [260, 290],
};

const meanings: { readonly [State in StateName]: string } = {
  open: 'both sides may send',
  closeSent: 'the server has sent its close frame, the client has not',
  closeReceived: 'the client has sent its close frame, the server has not',
  closed: 'both close frames were sent; the server ends TCP',
  failed: 'the server has failed the connection and discards what still comes',
  ended: 'the transport has ended',
  aborted: 'the transport was dropped',
};

const groups: { readonly [name: string]: { readonly states: readonly StateName[]; readonly box: Box } } = {
  alive: { states: ['open', 'closeSent', 'closeReceived'], box: { x: 10, y: 16, width: 224, height: 126 } },
  connected: { states: ['open', 'closeSent', 'closeReceived', 'closed', 'failed'], box: { x: 2, y: 4, width: 354, height: 222 } },
};

export interface Arrow {
  readonly from: readonly StateName[];
  readonly to: StateName;
  readonly input: 'sendClose' | 'receiveClose' | 'fail' | 'eof' | 'abort';
  readonly label: string;
  readonly line: readonly [x1: number, y1: number, x2: number, y2: number];
  readonly text: readonly [x: number, y: number, anchor: 'start' | 'middle' | 'end'];
}

const alive = groups.alive?.states ?? [];
const connected = groups.connected?.states ?? [];

/** Every arrow that leads from one state to another. */
export const arrows: readonly Arrow[] = [
  { from: ['open'], to: 'closeSent', input: 'sendClose', label: 'we close', line: [102, 57, 74, 101], text: [82, 78, 'end'] },
  { from: ['open'], to: 'closeReceived', input: 'receiveClose', label: 'they close', line: [142, 57, 170, 101], text: [162, 78, 'start'] },
  { from: ['closeSent'], to: 'closed', input: 'receiveClose', label: 'they close', line: [74, 133, 106, 183], text: [84, 164, 'end'] },
  { from: ['closeReceived'], to: 'closed', input: 'sendClose', label: 'we close', line: [170, 133, 138, 183], text: [160, 164, 'start'] },
  { from: alive, to: 'failed', input: 'fail', label: 'fail', line: [234, 118, 246, 118], text: [262, 96, 'middle'] },
  { from: connected, to: 'ended', input: 'eof', label: 'end of stream', line: [100, 226, 100, 273], text: [94, 252, 'end'] },
  { from: connected, to: 'aborted', input: 'abort', label: 'abort, reset, deadline', line: [260, 226, 260, 273], text: [254, 252, 'end'] },
];

export class Machine {
  readonly #boxes = new Map<StateName, SVGElement>();
  readonly #words: HTMLElement;
  #before = '';

  constructor(drawing: SVGElement, words: HTMLElement) {
    this.#words = words;
    drawing.setAttribute('viewBox', '0 0 360 316');
    const tip = makeSvg('marker', { id: 'tip', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto' });
    tip.append(makeSvg('path', { d: 'M0 0 8 4 0 8z', class: 'tip' }));
    const definitions = makeSvg('defs', {});
    definitions.append(tip);
    drawing.append(definitions);
    for (const { box } of Object.values(groups)) drawing.append(makeSvg('rect', { ...box, rx: 8, class: 'group' }));
    for (const { line, text, label } of arrows) {
      const [x1, y1, x2, y2] = line;
      const [x, y, anchor] = text;
      drawing.append(makeSvg('line', { x1, y1, x2, y2, class: 'arrow', 'marker-end': 'url(#tip)' }));
      drawing.append(makeSvg('text', { x, y, 'text-anchor': anchor, class: 'label' }, label));
    }
    for (const [state, [x, y]] of Object.entries(places) as [StateName, readonly [number, number]][]) {
      const group = makeSvg('g', { 'data-state': state, class: 'state' });
      group.append(makeSvg('rect', { x: x - WIDTH / 2, y: y - HEIGHT / 2, width: WIDTH, height: HEIGHT, rx: 6 }));
      group.append(makeSvg('text', { x, y: y + 4, 'text-anchor': 'middle' }, state));
      drawing.append(group);
      this.#boxes.set(state, group);
    }
  }

  show(state: StateName, connection: string): void {
    for (const [name, box] of this.#boxes) box.classList.toggle('lit', name === state);
    const words = `${connection}: ${state}, ${meanings[state]}`;
    // A live region: said again only when it has changed.
    if (words !== this.#before) this.#words.textContent = words;
    this.#before = words;
  }
}
