/** That `toEqual` tells buffers apart here. */
import { expect, it } from 'vitest';

const bytes = (...list: number[]): ArrayBuffer => Uint8Array.from(list).buffer;

it.each([
  ['length', bytes(1), bytes(1, 2)],
  ['content', bytes(1), bytes(2)],
  ['content of a view', new DataView(bytes(1, 2), 0, 1), new DataView(bytes(1, 2), 1, 1)],
  ['kind', bytes(1), new DataView(bytes(1))],
  ['kind of no buffer', bytes(), {}],
])('buffers of another %s are not equal', (_what, one, other) => {
  expect(one).not.toEqual(other);
  expect({ data: [one] }).not.toEqual({ data: [other] });
  expect(other).not.toEqual(one);
});

it('those of the same bytes are', () => {
  expect([bytes(1, 2)]).toEqual([bytes(1, 2)]);
  expect(new DataView(bytes(1, 2), 1)).toEqual(new DataView(bytes(2)));
});
