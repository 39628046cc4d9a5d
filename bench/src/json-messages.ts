/**
 * JSON messages of a given size, alike but not equal, as a feed would send them: the same fields, other values.
 */

export interface JsonMessages {
  readonly messages: readonly Buffer[];
}

const FIELDS = [
  'bid',
  'ask',
  'open',
  'close',
  'volume',
  'trade',
  'quote',
  'market',
  'limit',
  'order',
  'filled',
  'partial',
  'venue',
  'symbol',
];
const SIDES = ['buy', 'sell'];

/** Enough messages to exceed the largest window (32 KiB) twice; at least four. */
export function jsonMessages(size: number): JsonMessages {
  let state = 12345;
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const count = Math.max(4, Math.ceil((80 * 1024) / size));
  const messages = Array.from({ length: count }, (_, index) => {
    let text = `{"seq":${index},"time":${1_700_000_000_000 + 37 * index}`;
    for (let field = 0; text.length < size; field++) {
      const side = SIDES[random(SIDES.length)];
      text += `,"${FIELDS[field % FIELDS.length]}":{"price":${random(1e6) / 100},"size":${random(5000)},"side":"${side}"}`;
    }
    return Buffer.from(`${text.slice(0, size - 1)}}`);
  });
  return { messages };
}
