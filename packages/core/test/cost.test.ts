/**
 * What a message costs once a connection has been in use: memory made, views, native calls. Each row says from which size on; the bounds are
 * those that the bench chose. A copy too many, memory that is not used again or a native call for a few bytes shows here, not in the content.
 */
import { Connection, type ConnectionOptions, type OutboundTransform, type Role } from '@ferrywire/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { pattern, peerOf, pseudoRandom, split, utf8 } from './connection-helpers.ts';
import { type Cost, counted } from './cost-helpers.ts';
import { extension, identity } from './extension-helpers.ts';

const SIZES = [
  16, 24, 25, 47, 48, 49, 64, 65, 79, 80, 384, 385, 2048, 2049, 4095, 4096, 16_383, 16_384, 16_385, 21_845, 21_846, 65_536, 65_537,
];
const FEW_SIZES = [16, 100, 5000, 70_000];

function shown({ arrays, views, words, encoded, decoded, set }: Cost, size: number): string {
  const made = arrays.map((bytes) => (bytes === size ? 'its own memory' : `${bytes} bytes`));
  const counts = Object.entries({ views, 'views of words': words, encoded, decoded, set });
  return [...made, ...counts.filter(([, count]) => count > 0).map(([name, count]) => (count === 1 ? name : `${count} ${name}`))].join(', ');
}
type Row = readonly [from: number, cost: string];
/** The cost of each size, where it changes. The third time counts: memory that is used again is there. */
function profile(sizes: readonly number[], prepare: (size: number) => () => void): Row[] {
  const rows: Row[] = [];
  for (const size of sizes) {
    prepare(size)();
    prepare(size)();
    let cost = counted(prepare(size));
    // Now and then a piece of memory is full that short messages are cut from.
    if (cost.arrays.includes(16_384)) cost = counted(prepare(size));
    const text = shown(cost, size);
    if (rows.at(-1)?.[1] !== text) rows.push([size, text]);
  }
  return rows;
}

type Kind = 'text' | 'é' | 'binary';
const contentOf = (kind: Kind, size: number): string | Uint8Array =>
  kind === 'binary' ? pattern(size) : kind === 'text' ? 'x'.repeat(size) : 'é'.repeat(size >> 1);

function connect(role: Role, options: Partial<ConnectionOptions>): Connection {
  return new Connection({ role, clock: () => 0, random: pseudoRandom(), sink: {}, ...options } as ConnectionOptions);
}
function sending(role: Role, kind: Kind, options: Partial<ConnectionOptions> = {}, transfer = false): Row[] {
  const connection = connect(role, options);
  return profile(SIZES, (size) => {
    const data = contentOf(kind, size);
    return () => {
      connection.send(data, { transfer });
      for (const chunk of connection.takeOutput()) connection.recycleOutput(chunk);
    };
  });
}
/** `chunk`: so many bytes at a time. */
function receiving(role: Role, kind: Kind, options: Partial<ConnectionOptions> = {}, chunk = 1e9, sizes: readonly number[] = SIZES): Row[] {
  const connection = connect(role, options);
  const peer = peerOf(role);
  const rsv = options.extensions === undefined ? 0 : 4;
  return profile(sizes, (size) => {
    const content = contentOf(kind, size);
    const payload = typeof content === 'string' ? utf8(content) : content;
    const pieces = split(peer.frame({ opcode: kind === 'binary' ? 2 : 1, payload, rsv }), chunk);
    return () => {
      for (const piece of pieces) connection.receiveData(piece);
    };
  });
}
/** Everything as it is, with a bit of its own. */
const asItIs: OutboundTransform = {
  cacheKey: null,
  begin: () => 4,
  push(input, start, end, _fin, out) {
    const count = Math.min(end - start, out.room);
    out.write(input, start, start + count);
    return { consumed: count, status: start + count < end ? 'more' : 'need' };
  },
};
const extended = (): Partial<ConnectionOptions> => ({ extensions: [extension('x', 4, identity, asItIs)] });

const costs: readonly (readonly [name: string, rows: () => Row[], expected: readonly Row[]])[] = [
  [
    'server sends text',
    () => sending('server', 'text'),
    [
      [16, ''],
      [65, 'views, encoded'],
      [16385, 'its own memory, encoded'],
    ],
  ],
  [
    'server sends é',
    () => sending('server', 'é'),
    [
      [16, 'views, encoded'],
      [65536, '32768 bytes, 49152 bytes, 2 encoded'],
    ],
  ],
  [
    'server sends binary',
    () => sending('server', 'binary'),
    [
      [16, ''],
      [80, 'set'],
      [16384, ''],
    ],
  ],
  [
    'client sends text',
    () => sending('client', 'text'),
    [
      [16, ''],
      [65, 'views, encoded'],
      [16385, 'its own memory, views of words, encoded'],
    ],
  ],
  [
    'client sends é',
    () => sending('client', 'é'),
    [
      [16, 'views, encoded'],
      [65536, '32768 bytes, 49152 bytes, 2 views of words, 2 encoded'],
    ],
  ],
  [
    'client sends binary',
    () => sending('client', 'binary'),
    [
      [16, ''],
      [80, 'set'],
      [16384, 'its own memory, views of words, set'],
    ],
  ],
  [
    'client sends binary that is given away',
    () => sending('client', 'binary', {}, true),
    [
      [16, ''],
      [80, 'set'],
      [16384, 'views of words'],
    ],
  ],
  [
    'server receives text',
    () => receiving('server', 'text'),
    [
      [16, ''],
      [25, 'views, decoded'],
      [65, 'views, views of words, decoded'],
      [385, '2 views, views of words, decoded, set'],
      [65537, 'its own memory, 2 views, views of words, decoded, set'],
    ],
  ],
  [
    'server receives é',
    () => receiving('server', 'é'),
    [
      [16, 'views, decoded'],
      [79, 'views, views of words, decoded'],
      [2048, '2 views, views of words, decoded, set'],
    ],
  ],
  [
    'server receives binary',
    () => receiving('server', 'binary'),
    [
      [16, 'its own memory'],
      [65, 'views, views of words'],
      [385, '2 views, views of words, set'],
      [2049, 'its own memory, views, views of words, set'],
    ],
  ],
  [
    'client receives text',
    () => receiving('client', 'text'),
    [
      [16, ''],
      [25, 'views, decoded'],
    ],
  ],
  ['client receives é', () => receiving('client', 'é'), [[16, 'views, decoded']]],
  [
    'client receives binary',
    () => receiving('client', 'binary'),
    [
      [16, 'its own memory'],
      [65, 'views, views of words'],
      [385, '2 views, set'],
      [2049, 'its own memory, views, set'],
    ],
  ],
  [
    'server receives text that is transferred',
    () => receiving('server', 'text', { input: 'transferred' }),
    [
      [16, ''],
      [25, 'views, decoded'],
      [48, 'views, views of words, decoded'],
    ],
  ],
  [
    'server receives text, delivery chunk',
    () => receiving('server', 'text', { delivery: 'chunk' }),
    [
      [16, '3 bytes'],
      [25, '3 bytes, views, decoded'],
      [80, '3 bytes, 2 views, views of words, decoded, set'],
    ],
  ],
  [
    'server receives text, delivery span',
    () => receiving('server', 'text', { delivery: 'span' }),
    [
      [16, ''],
      [80, 'views, views of words, set'],
    ],
  ],
  [
    'server receives text through an extension',
    () => receiving('server', 'text', extended()),
    [
      [16, ''],
      [25, 'views, decoded'],
      [49, '2 views, decoded, set'],
      [80, '3 views, views of words, decoded, 2 set'],
      [16385, '16384 bytes, 16384 bytes, its own memory, 3 views, 2 views of words, decoded, 6 set'],
      [21845, '16384 bytes, 16384 bytes, its own memory, 4 views, 3 views of words, decoded, 7 set'],
      [65536, '16384 bytes, 16384 bytes, its own memory, 6 views, 3 views of words, decoded, 12 set'],
      [65537, '16384 bytes, 16384 bytes, its own memory, 6 views, 3 views of words, decoded, 13 set'],
    ],
  ],
  [
    'server sends text through an extension',
    () => sending('server', 'text', extended()),
    [
      [16, '2 views, encoded, set'],
      [80, '2 views, encoded, 2 set'],
      [16384, 'its own memory, 2 views, encoded, set'],
      [21846, 'its own memory, set'],
      [65537, 'its own memory, 4 set'],
    ],
  ],
  [
    'client sends text through an extension',
    () => sending('client', 'text', extended()),
    [
      [16, '2 views, encoded, set'],
      [80, '2 views, encoded, 2 set'],
      [16384, 'its own memory, 2 views, views of words, encoded, set'],
      [21846, 'its own memory, views of words, set'],
      [65537, 'its own memory, views of words, 4 set'],
    ],
  ],
  [
    'server receives binary that is transferred',
    () => receiving('server', 'binary', { input: 'transferred' }),
    [
      [16, 'its own memory'],
      [65, 'views, views of words'],
      [385, '2 views, views of words, set'],
      [2049, 'its own memory, views, views of words, set'],
      [4096, 'views, views of words'],
    ],
  ],
  [
    'server receives binary, delivery chunk',
    () => receiving('server', 'binary', { delivery: 'chunk' }),
    [
      [16, ''],
      [80, 'views, views of words, set'],
    ],
  ],
  [
    'server receives binary, delivery span',
    () => receiving('server', 'binary', { delivery: 'span' }),
    [
      [16, ''],
      [80, 'views, views of words, set'],
    ],
  ],
  [
    'server receives binary through an extension',
    () => receiving('server', 'binary', extended()),
    [
      [16, 'its own memory'],
      [49, 'its own memory, views, set'],
      [65, '2 views, views of words, set'],
      [80, '3 views, 2 views of words, 2 set'],
      [385, '4 views, views of words, 3 set'],
      [2049, 'its own memory, 3 views, views of words, 3 set'],
      [16385, '16384 bytes, 16384 bytes, its own memory, 2 views, views of words, 6 set'],
      [21845, '16384 bytes, 16384 bytes, its own memory, 3 views, views of words, 7 set'],
      [65536, '16384 bytes, 16384 bytes, its own memory, 5 views, views of words, 12 set'],
      [65537, '16384 bytes, 16384 bytes, its own memory, 5 views, views of words, 13 set'],
    ],
  ],
  [
    'server sends binary through an extension',
    () => sending('server', 'binary', extended()),
    [
      [16, 'views, set'],
      [80, 'views, 2 set'],
      [16384, 'its own memory, views, set'],
      [21846, 'its own memory, set'],
      [65537, 'its own memory, 4 set'],
    ],
  ],
  [
    'client sends binary through an extension',
    () => sending('client', 'binary', extended()),
    [
      [16, 'views, set'],
      [80, 'views, 2 set'],
      [16384, 'its own memory, views, views of words, set'],
      [21846, 'its own memory, views of words, set'],
      [65537, 'its own memory, views of words, 4 set'],
    ],
  ],
];

describe('pieces make no memory', () => {
  const kinds: readonly Kind[] = ['text', 'é', 'binary'];
  const ways: readonly (readonly [string, () => Partial<ConnectionOptions>])[] = [
    ['chunk', () => ({ delivery: 'chunk' })],
    ['span', () => ({ delivery: 'span' })],
    ['span, transferred', () => ({ delivery: 'span', input: 'transferred' })],
    ['chunk, through an extension', () => ({ delivery: 'chunk', ...extended() })],
    ['span, through an extension', () => ({ delivery: 'span', ...extended() })],
  ];
  it.each(ways)('delivery %s, in chunks of any size', (_name, options) => {
    for (const role of ['server', 'client'] as const) {
      for (const chunk of [1e9, 20_000, 1000]) {
        for (const kind of kinds) {
          for (const [, cost] of receiving(role, kind, options(), chunk, FEW_SIZES)) {
            // Three bytes: what a letter that is cut in two leaves over.
            expect(cost.replace('3 bytes', '')).not.toMatch(/bytes|memory/);
          }
        }
      }
    }
  });
  it('a message that comes in frames and chunks of all sizes makes its own memory, and a few parts of it on the way', () => {
    for (const kind of ['text', 'binary'] as const) {
      for (const [from, cost] of receiving('server', kind, {}, 20_000)) {
        const made = cost.split(', ').filter((part) => /bytes|memory/.test(part));
        expect(made.length, `${from}: ${cost}`).toBeLessThanOrEqual(2);
      }
    }
  });
});

describe('what a message costs', () => {
  /** A message that never ends takes all the scratch that earlier tests have left: with some of it waiting it would not show that none comes back. */
  beforeEach(() => {
    const connection = new Connection({ role: 'client', clock: () => 0, limits: { maxMessageSize: 8 << 20 }, sink: {} });
    connection.receiveData(Uint8Array.of(0x82, 127, 0, 0, 0, 0, 0, 0x80, 0, 0));
    const piece = new Uint8Array(65_536);
    for (let count = 0; count < 40; count++) connection.receiveData(piece);
  });

  it.each(costs)('%s', (_name, rows, expected) => {
    expect(rows()).toEqual(expected);
  });
});
