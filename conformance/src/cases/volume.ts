/**
 * Groups 9 and 10: large messages, many fragments, small writes, many messages, automatic fragmentation (RFC 6455 sections 5.2 and 5.4). The
 * contents of every echo are compared, not only its length.
 */
import type { MessageKind } from '@ferrywire/core';
import type { Case } from '../case.ts';
import { hex, type Payload, repeated, utf8 } from '../payload.ts';
import { BINARY, closeAfter, defineCase, echoOf, failAfter, frame, message, ok, TEXT } from './build.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const kinds: readonly { readonly kind: MessageKind; readonly opcode: number; readonly unit: Payload; readonly byte: number }[] = [
  { kind: 'text', opcode: TEXT, unit: utf8('BAsd7&jh23'), byte: 0x2a },
  { kind: 'binary', opcode: BINARY, unit: hex('00fe23faf0'), byte: 0xfe },
];

function amount(bytes: number): string {
  return bytes >= MiB ? `${bytes / MiB} MiB` : bytes >= KiB ? `${bytes / KiB} KiB` : `${bytes} bytes`;
}

function largeMessages(): Case[] {
  const sizes = [64 * KiB, 256 * KiB, MiB, 4 * MiB, 8 * MiB, 16 * MiB];
  /** Seconds. Text gets more time earlier, for its validation. */
  const limits: Readonly<Record<MessageKind, readonly number[]>> = {
    text: [10, 10, 100, 100, 100, 100],
    binary: [10, 10, 10, 10, 100, 100],
  };
  return kinds.flatMap(({ kind, opcode, unit }, group) =>
    sizes.map((size, index) => {
      const payload = repeated(unit, size);
      return defineCase({
        id: `9.${group + 1}.${index + 1}`,
        title: `${kind} message of ${amount(size)} in one frame`,
        sections: ['RFC 6455 5.2', 'RFC 6455 10.4'],
        steps: [frame(opcode, payload)],
        expect: ok(echoOf(kind, payload)),
        limit: closeAfter(limits[kind][index] ?? 100),
      });
    }),
  );
}

function fragmentedMessages(): Case[] {
  return kinds.flatMap(({ kind, byte }, group) =>
    [64, 256, KiB, 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB, MiB, 4 * MiB].map((fragment, index) => {
      // Only the first binary case differs from the text in its byte.
      const payload = repeated(index === 0 ? byte : 0x2a, 4 * MiB);
      return defineCase({
        id: `9.${group + 3}.${index + 1}`,
        title: `${kind} message of 4 MiB in fragments of ${amount(fragment)}`,
        sections: ['RFC 6455 5.4', 'RFC 6455 10.4'],
        steps: [message(kind, payload, fragment)],
        expect: ok(echoOf(kind, payload)),
        limit: closeAfter(100),
      });
    }),
  );
}

function smallWrites(): Case[] {
  return kinds.flatMap(({ kind, opcode, unit }, group) =>
    [64, 128, 256, 512, KiB, 2 * KiB].map((chop, index) => {
      const payload = repeated(unit, MiB);
      return defineCase({
        id: `9.${group + 5}.${index + 1}`,
        title: `${kind} message of 1 MiB in writes of ${amount(chop)}`,
        sections: ['RFC 6455 5.2', 'RFC 6455 6.2'],
        steps: [frame(opcode, payload, { chop })],
        expect: ok(echoOf(kind, payload)),
        limit: closeAfter(1000),
      });
    }),
  );
}

function roundTrips(): Case[] {
  const sizes: readonly (readonly [size: number, seconds: number])[] = [
    [0, 60],
    [16, 60],
    [64, 60],
    [256, 120],
    [1024, 240],
    [4096, 480],
  ];
  return kinds.flatMap(({ kind, byte }, group) =>
    sizes.map(([size, seconds], index) =>
      defineCase({
        id: `9.${group + 7}.${index + 1}`,
        title: `1000 ${kind} messages of ${size} bytes, one after the other`,
        sections: ['RFC 6455 5.2', 'RFC 6455 6.2'],
        steps: [
          {
            do: 'exchange',
            kind,
            source: { from: 'payload', payload: repeated(byte, size) },
            count: 1000,
            fullCount: 1000,
            fragment: null,
            compress: false,
          },
        ],
        expect: 'exchange',
        limit: closeAfter(seconds),
      }),
    ),
  );
}

export function volumeCases(): Case[] {
  const payload = repeated(0x2a, 65_536);
  return [
    ...largeMessages(),
    ...fragmentedMessages(),
    ...smallWrites(),
    ...roundTrips(),
    defineCase({
      id: '10.1.1',
      title: 'text message of 65536 bytes in fragments of 1300 bytes',
      sections: ['RFC 6455 5.4'],
      steps: [message('text', payload, 1300)],
      expect: ok(echoOf('text', payload)),
      limit: failAfter(10),
    }),
  ];
}
