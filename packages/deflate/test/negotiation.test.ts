/**
 * Negotiation as data (RFC 7692 sections 5.1 and 7.1), both roles. Includes S5 of the security list: parameters out of range.
 */
import type { Extension, ExtensionParam } from '@ferrywire/core';
import { clientDeflate, type DeflateCodec, type DeflateOptions, defaultCodec, serverDeflate } from '@ferrywire/deflate';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, mixture, random, receive, send, TAIL } from '../dist/suite/harness.js';
import { referenceInflate } from '../dist/suite/reference.js';

type Params = readonly ExtensionParam[];

/** 'a; b=1' → [['a', true], ['b', '1']]; enough of the grammar for these tables. */
function params(text: string): Params {
  return text === ''
    ? []
    : text.split('; ').map((part) => {
        const at = part.indexOf('=');
        return at < 0 ? ([part, true] as const) : ([part.slice(0, at), part.slice(at + 1).replaceAll('"', '')] as const);
      });
}
function format(list: Params): string {
  return list.map(([name, value]) => (value === true ? name : `${name}=${value}`)).join('; ');
}
function answer(offer: string, options?: DeflateOptions): string | null {
  const result = serverDeflate(options).accept(params(offer), []);
  result?.extension.dispose?.();
  return result === null ? null : format(result.params);
}
function offer(options?: DeflateOptions): string {
  return clientDeflate(options).offers().map(format).join(', ');
}
function confirmed(response: string, options?: DeflateOptions): boolean {
  const extension = clientDeflate(options).confirm(params(response), []);
  extension?.dispose?.();
  return extension !== null;
}

const BAD_VALUES = [
  '0',
  '7',
  '16',
  '99',
  '-8',
  '+8',
  '08',
  '010',
  '8.0',
  '1e1',
  '0x9',
  'abc',
  '',
  ' 9',
  '9 ',
  '９',
  '99999999999999999999',
];
const BAD_PARAMS = [
  'server_no_context_takeover=true',
  'server_no_context_takeover=1',
  'server_no_context_takeover=""',
  'client_no_context_takeover=1',
  'server_max_window_bits',
  'unknown',
  'unknown=1',
  '__proto__',
  'constructor=8',
  'Server_No_Context_Takeover',
  'server_no_context_takeover; server_no_context_takeover',
  'client_no_context_takeover; client_no_context_takeover',
  'server_max_window_bits=10; server_max_window_bits=10',
  'client_max_window_bits=10; client_max_window_bits=10',
  'client_max_window_bits; client_max_window_bits',
  'server_no_context_takeover; unknown',
];

describe('server', () => {
  const keep = { serverNoContextTakeover: false, clientNoContextTakeover: false } as const;

  it.each<[string, DeflateOptions | undefined, string | null]>([
    // No options: no context on either side (7.1.1.1 and 7.1.1.2 allow both unasked).
    ['', undefined, 'server_no_context_takeover; client_no_context_takeover'],
    ['client_max_window_bits', undefined, 'server_no_context_takeover; client_no_context_takeover'],
    ['client_max_window_bits=10', undefined, 'server_no_context_takeover; client_no_context_takeover; client_max_window_bits=10'],
    ['server_max_window_bits=10', undefined, 'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10'],
    // Context takeover.
    ['', keep, ''],
    ['server_no_context_takeover', keep, 'server_no_context_takeover'],
    ['client_no_context_takeover', keep, 'client_no_context_takeover'],
    ['client_no_context_takeover; server_no_context_takeover', keep, 'server_no_context_takeover; client_no_context_takeover'],
    ['', { ...keep, serverNoContextTakeover: true }, 'server_no_context_takeover'],
    ['', { ...keep, clientNoContextTakeover: true }, 'client_no_context_takeover'],
    // The server's window: the same or a smaller value, never absent when offered.
    ['server_max_window_bits=15', keep, 'server_max_window_bits=15'],
    ['server_max_window_bits=9', keep, 'server_max_window_bits=9'],
    ['server_max_window_bits=8', keep, null],
    ['server_max_window_bits=12', { ...keep, serverMaxWindowBits: 10 }, 'server_max_window_bits=10'],
    ['server_max_window_bits=10', { ...keep, serverMaxWindowBits: 12 }, 'server_max_window_bits=10'],
    ['', { ...keep, serverMaxWindowBits: 10 }, 'server_max_window_bits=10'],
    ['', { ...keep, serverMaxWindowBits: 8 }, 'server_max_window_bits=9'],
    ['server_max_window_bits=8', { ...keep, serverMaxWindowBits: 8 }, null],
    // The client's window: only limited when the offer allows it.
    ['', { ...keep, clientMaxWindowBits: 10 }, null],
    ['', { ...keep, clientMaxWindowBits: 15 }, ''],
    ['', { ...keep, clientMaxWindowBits: true }, ''],
    ['client_max_window_bits', keep, ''],
    ['client_max_window_bits', { ...keep, clientMaxWindowBits: true }, ''],
    ['client_max_window_bits', { ...keep, clientMaxWindowBits: 10 }, 'client_max_window_bits=10'],
    ['client_max_window_bits', { ...keep, clientMaxWindowBits: 8 }, 'client_max_window_bits=8'],
    ['client_max_window_bits=12', { ...keep, clientMaxWindowBits: 10 }, 'client_max_window_bits=10'],
    ['client_max_window_bits=10', { ...keep, clientMaxWindowBits: 12 }, 'client_max_window_bits=10'],
    ['client_max_window_bits=8', keep, 'client_max_window_bits=8'],
    [
      'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11',
      keep,
      'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11',
    ],
    ['server_max_window_bits="10"', keep, 'server_max_window_bits=10'],
  ])('offer %j with %j: %j', (text, options, expected) => {
    expect(answer(text, options)).toBe(expected);
  });

  it('S5: declines what section 7.1 does not allow, without a throw', () => {
    for (const text of BAD_PARAMS) expect(answer(text), text).toBeNull();
    for (const value of BAD_VALUES) {
      expect(answer(`server_max_window_bits=${value}`), value).toBeNull();
      expect(answer(`client_max_window_bits=${value}`), value).toBeNull();
    }
  });

  it('is used once, and leaves RSV1 to whoever has it', () => {
    const server = serverDeflate();
    const first = server.accept([], []);
    if (first === null) throw new Error('declined');
    expect(first.extension.rsv).toBe(4);
    expect(server.accept([], [first.extension])).toBeNull();
    const other = { ...first.extension, name: 'x-other', rsv: 6 } as Extension;
    expect(server.accept([], [other])).toBeNull();
    expect(server.accept([], [{ ...other, rsv: 3 }])).not.toBeNull();
  });

  it('falls back in order: the first offer that can be met is answered', () => {
    const server = serverDeflate(keep);
    const offers = ['server_max_window_bits=7', 'unknown', 'server_max_window_bits=8', 'client_max_window_bits=9', ''];
    const met = offers.map((text) => server.accept(params(text), [])).find((result) => result !== null);
    expect(met && format(met.params)).toBe('client_max_window_bits=9');
  });
});

describe('client', () => {
  it.each<[DeflateOptions | undefined, string]>([
    [undefined, 'client_max_window_bits'],
    [{}, ''],
    [{ clientMaxWindowBits: true }, 'client_max_window_bits'],
    [{ clientMaxWindowBits: 12 }, 'client_max_window_bits=12'],
    // Eight bits cannot be compressed with, so they are never promised (S22).
    [{ clientMaxWindowBits: 8 }, 'client_max_window_bits=9'],
    [{ serverMaxWindowBits: 8 }, 'server_max_window_bits=8'],
    [{ serverMaxWindowBits: 15 }, 'server_max_window_bits=15'],
    [{ serverNoContextTakeover: true }, 'server_no_context_takeover'],
    [{ clientNoContextTakeover: true }, 'client_no_context_takeover'],
    [{ serverNoContextTakeover: false, clientNoContextTakeover: false }, ''],
    [
      { serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 10, clientMaxWindowBits: true },
      'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits',
    ],
  ])('offers for %j: %j', (options, expected) => {
    expect(offer(options)).toBe(expected);
  });

  it.each<[DeflateOptions | undefined, string, boolean]>([
    [undefined, '', true],
    [undefined, 'server_no_context_takeover', true],
    [undefined, 'client_no_context_takeover', true],
    [undefined, 'server_max_window_bits=15', true],
    [undefined, 'server_max_window_bits=8', true],
    [undefined, 'server_max_window_bits="10"', true],
    [undefined, 'client_max_window_bits=15', true],
    [undefined, 'client_max_window_bits=9', true],
    [undefined, 'client_max_window_bits=8', false], // cannot be honoured
    [undefined, 'client_max_window_bits', false], // 7.1.2.2: a value is mandatory in an answer
    // Not offered, or more than was offered.
    [{}, 'client_max_window_bits=12', false],
    [{ clientMaxWindowBits: 10 }, 'client_max_window_bits=12', false],
    [{ clientMaxWindowBits: 10 }, 'client_max_window_bits=10', true],
    [{ clientMaxWindowBits: 10 }, 'client_max_window_bits=9', true],
    [{ clientMaxWindowBits: 10 }, '', true],
    [{ serverMaxWindowBits: 10 }, 'server_max_window_bits=12', false],
    [{ serverMaxWindowBits: 10 }, 'server_max_window_bits=10', true],
    [{ serverMaxWindowBits: 10 }, 'server_max_window_bits=8', true],
    // Lacking what was demanded.
    [{ serverMaxWindowBits: 10 }, '', false],
    [{ serverMaxWindowBits: 14 }, '', false],
    [{ serverMaxWindowBits: 15 }, '', true], // what an answer without a size means
    [{ serverNoContextTakeover: true }, '', false],
    [{ serverNoContextTakeover: true }, 'server_no_context_takeover', true],
    // A hint, not a demand (7.1.1.2).
    [{ clientNoContextTakeover: true }, '', true],
  ])('with %j the answer %j: %j', (options, response, expected) => {
    expect(confirmed(response, options)).toBe(expected);
  });

  it('S5: fails what section 7.1 does not allow, without a throw', () => {
    for (const text of BAD_PARAMS) expect(confirmed(text), text).toBe(false);
    for (const value of BAD_VALUES) {
      expect(confirmed(`server_max_window_bits=${value}`), value).toBe(false);
      expect(confirmed(`client_max_window_bits=${value}`), value).toBe(false);
    }
  });

  it('fails the extension twice, and a bit with two owners', () => {
    const client = clientDeflate();
    const first = client.confirm([], []);
    if (first === null) throw new Error('refused');
    expect(client.confirm([], [first])).toBeNull();
    expect(client.confirm([], [{ ...first, name: 'x-other', rsv: 4 } as Extension])).toBeNull();
  });
});

describe('both', () => {
  const options = fc.record(
    {
      serverNoContextTakeover: fc.boolean(),
      clientNoContextTakeover: fc.boolean(),
      serverMaxWindowBits: fc.integer({ min: 8, max: 15 }),
      clientMaxWindowBits: fc.oneof(fc.constant(true as const), fc.integer({ min: 8, max: 15 })),
      threshold: fc.constant(0),
    },
    { requiredKeys: ['threshold'] },
  );

  it('any two configurations agree or decline; what is agreed holds on the wire', () => {
    let agreed = 0;
    let declined = 0;
    fc.assert(
      fc.property(options, options, fc.integer(), (clientOptions, serverOptions, seed) => {
        const client = clientDeflate(clientOptions);
        const server = serverDeflate(serverOptions);
        const result =
          client
            .offers()
            .map((one) => server.accept(one, []))
            .find((one) => one !== null) ?? null;
        if (result === null) {
          declined++;
          return;
        }
        const near = client.confirm(result.params, []);
        const response = new Map(result.params);
        // The one demand that an offer without a value allows and a client cannot meet.
        expect(near === null, format(result.params)).toBe(response.get('client_max_window_bits') === '8');
        if (near === null) {
          declined++;
          return;
        }
        agreed++;
        for (const [from, to, role] of [
          [near, result.extension, 'client'],
          [result.extension, near, 'server'],
        ] as const) {
          const out = from.outbound(role, () => {});
          const into = to.inbound(role === 'client' ? 'server' : 'client', () => {});
          const bits = Number(response.get(`${role}_max_window_bits`) ?? 15);
          const fresh = response.has(`${role}_no_context_takeover`);
          const next = random(seed);
          let window: Uint8Array = new Uint8Array(0);
          for (let round = 0; round < 3; round++) {
            const message = mixture(next, 3000);
            const payloads = send(out, [message]);
            if (payloads === null) throw new Error('left uncompressed');
            expect(receive(into, payloads)).toEqual(message);
            const reference = referenceInflate(concat([...payloads, TAIL]), fresh ? new Uint8Array(0) : window);
            expect(reference.output).toEqual(message);
            expect(reference.maxDistance).toBeLessThanOrEqual(2 ** bits);
            window = concat([window, message]);
          }
        }
        near.dispose?.();
        result.extension.dispose?.();
      }),
      { numRuns: 150 },
    );
    expect(agreed).toBeGreaterThan(10);
    expect(declined).toBeGreaterThan(0);
  });

  it('parameters of any kind never throw', () => {
    const name = fc.oneof(
      fc.constantFrom('server_no_context_takeover', 'client_no_context_takeover', 'server_max_window_bits', 'client_max_window_bits'),
      fc.string(),
    );
    const value = fc.oneof(fc.constant(true as const), fc.string(), fc.integer({ min: 0, max: 20 }).map(String));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (list) => {
        serverDeflate().accept(list, [])?.extension.dispose?.();
        clientDeflate().confirm(list, [])?.dispose?.();
      }),
    );
  });

  describe('against section 7.1 written down once more', () => {
    const flag = ['server_no_context_takeover', 'client_no_context_takeover'];
    const size = ['server_max_window_bits', 'client_max_window_bits'];
    /** Mostly right, now and then not. */
    const list = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.tuple(fc.constantFrom(...flag), fc.constant(true as const)) },
        { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...size), fc.integer({ min: 8, max: 15 }).map(String)) },
        { weight: 2, arbitrary: fc.tuple(fc.constant('client_max_window_bits'), fc.constant(true as const)) },
        {
          weight: 1,
          arbitrary: fc.tuple(
            fc.constantFrom(...flag, ...size, 'unknown'),
            fc.constantFrom(true as const, '', '7', '8', '08', '16', '1e1', 'x'),
          ),
        },
      ),
      { maxLength: 4 },
    );
    /** Section 7.1: each at most once, no other names, sizes from 8 to 15 without a leading zero. */
    function legal(params: Params, from: 'offer' | 'response'): boolean {
      const names = params.map(([name]) => name);
      if (new Set(names).size < names.length) return false;
      return params.every(([name, value]) => {
        if (flag.includes(name)) return value === true;
        if (name === 'client_max_window_bits' && value === true) return from === 'offer';
        return size.includes(name) && value !== true && ['8', '9', '10', '11', '12', '13', '14', '15'].includes(value);
      });
    }
    const bitsOf = (params: Params, name: string): number | true | undefined => {
      const found = params.find(([one]) => one === name)?.[1];
      return found === undefined || found === true ? found : Number(found);
    };
    const has = (params: Params, name: string): boolean => params.some(([one]) => one === name);

    it('a server accepts what it can keep, and answers no more and no less', () => {
      let accepted = 0;
      fc.assert(
        fc.property(list, options, (offered, own) => {
          const result = serverDeflate(own).accept(offered, []);
          const serverBits = bitsOf(offered, 'server_max_window_bits') as number | undefined;
          const clientBits = bitsOf(offered, 'client_max_window_bits');
          const demand = typeof own.clientMaxWindowBits === 'number' ? own.clientMaxWindowBits : 15;
          // zlib compresses with 9 bits at least; a client that does not say it can be limited cannot be.
          const possible = legal(offered, 'offer') && serverBits !== 8 && (clientBits !== undefined || demand === 15);
          expect(result !== null).toBe(possible);
          if (result === null) return;
          accepted++;
          const { params: answered } = result;
          expect(legal(answered, 'response')).toBe(true);
          // 7.1.1.1, 7.1.1.2: demanded, promised, or of its own accord.
          expect(has(answered, flag[0] as string)).toBe(has(offered, flag[0] as string) || (own.serverNoContextTakeover ?? true));
          expect(has(answered, flag[1] as string)).toBe(has(offered, flag[1] as string) || (own.clientNoContextTakeover ?? true));
          // 7.1.2.1: answered when offered, with the same or a smaller value.
          const server = bitsOf(answered, 'server_max_window_bits') as number | undefined;
          if (serverBits !== undefined) expect(server).toBeLessThanOrEqual(serverBits);
          expect(server ?? 15).toBe(Math.min(serverBits ?? 15, Math.max(own.serverMaxWindowBits ?? 15, 9)));
          // 7.1.2.2: only when offered, with the same or a smaller value.
          const client = bitsOf(answered, 'client_max_window_bits') as number | undefined;
          if (clientBits === undefined) expect(client).toBeUndefined();
          else expect(client ?? 15).toBe(Math.min(demand, clientBits === true ? 15 : clientBits));
          result.extension.dispose?.();
        }),
        { numRuns: 2000 },
      );
      expect(accepted).toBeGreaterThan(50);
    });

    it('a client accepts what its offer allows, and nothing else', () => {
      let accepted = 0;
      fc.assert(
        fc.property(list, options, (answered, own) => {
          const client = clientDeflate(own);
          const offered = client.offers()[0] ?? [];
          expect(legal(offered, 'offer')).toBe(true);
          const extension = client.confirm(answered, []);
          const bits = bitsOf(answered, 'server_max_window_bits') as number | undefined;
          const most = bitsOf(offered, 'server_max_window_bits') as number | undefined;
          const mine = bitsOf(answered, 'client_max_window_bits') as number | undefined;
          const allowed = bitsOf(offered, 'client_max_window_bits');
          const possible =
            legal(answered, 'response') &&
            (has(answered, flag[0] as string) || !has(offered, flag[0] as string)) &&
            (bits ?? 15) <= (most ?? 15) &&
            (mine === undefined || (allowed !== undefined && mine !== 8 && mine <= (allowed === true ? 15 : allowed)));
          expect(extension !== null).toBe(possible);
          if (extension === null) return;
          accepted++;
          extension.dispose?.();
        }),
        { numRuns: 2000 },
      );
      expect(accepted).toBeGreaterThan(50);
    });
  });

  it('a codec that can do less offers and accepts only that', () => {
    const { createInflate, createDeflate } = defaultCodec;
    const limited: DeflateCodec = {
      contextTakeover: false,
      windowBits: { inflate: [10, 12], deflate: [11, 13] },
      createInflate,
      createDeflate,
    };
    const codec = { codec: limited } as const;
    expect(offer(codec)).toBe('server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12');
    expect(offer({ ...codec, serverMaxWindowBits: 9, clientMaxWindowBits: 15 })).toBe(
      'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=13',
    );
    expect(confirmed('', codec)).toBe(false);
    expect(confirmed('server_no_context_takeover', codec)).toBe(false);
    expect(confirmed('server_no_context_takeover; server_max_window_bits=12', codec)).toBe(true);
    expect(
      confirmed('server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=10', {
        ...codec,
        clientMaxWindowBits: true,
      }),
    ).toBe(false);
    const keep = { ...codec, serverNoContextTakeover: false, clientNoContextTakeover: false } as const;
    expect(answer('', keep)).toBeNull(); // the client might use 15 bits
    expect(answer('client_max_window_bits', keep)).toBe(
      'server_no_context_takeover; client_no_context_takeover; server_max_window_bits=13; client_max_window_bits=12',
    );
    expect(answer('client_max_window_bits=9', keep)).toBeNull();
    expect(answer('client_max_window_bits; server_max_window_bits=10', keep)).toBeNull();
  });
});

describe('misuse throws at once and names the option', () => {
  it.each<[unknown, RegExp]>([
    [{ serverMaxWindowBits: 7 }, /serverMaxWindowBits/],
    [{ serverMaxWindowBits: 16 }, /serverMaxWindowBits/],
    [{ serverMaxWindowBits: '10' }, /serverMaxWindowBits/],
    [{ serverMaxWindowBits: true }, /serverMaxWindowBits/],
    [{ clientMaxWindowBits: 9.5 }, /clientMaxWindowBits/],
    [{ clientMaxWindowBits: false }, /clientMaxWindowBits/],
    [{ serverNoContextTakeover: 1 }, /serverNoContextTakeover/],
    [{ clientNoContextTakeover: 'yes' }, /clientNoContextTakeover/],
    [{ threshold: -1 }, /threshold/],
    [{ threshold: Number.NaN }, /threshold/],
    [{ threshold: '1' }, /threshold/],
    [{ level: 10 }, /level/],
    [{ level: -1 }, /level/],
    [{ memLevel: 0 }, /memLevel/],
    [{ codec: {} }, /codec/],
    [null, /options/],
  ])('%j', (options, message) => {
    expect(() => clientDeflate(options as DeflateOptions)).toThrow(message);
    expect(() => serverDeflate(options as DeflateOptions)).toThrow(message);
  });

  it('accepts every legal value', () => {
    expect(() => clientDeflate({ threshold: Number.POSITIVE_INFINITY, level: 0, memLevel: 9, codec: defaultCodec })).not.toThrow();
  });
});
