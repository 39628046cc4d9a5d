/**
 * The texts and images that groups 12 and 13 send: made by code from a seed, of the sizes and the kinds (JSON, bitmap, prose, markup, packed
 * document) that compression behaves differently on. Nothing is read from a file.
 */
import { Buffer } from 'node:buffer';
import { seededNumbers, seedFor, type Uint32Source } from './random.ts';

export type CorpusName = 'json' | 'bitmap' | 'prose' | 'html' | 'document';

const sizes: Readonly<Record<CorpusName, number>> = { json: 194_056, bitmap: 263_222, prose: 222_218, html: 263_647, document: 1_042_328 };

const syllables = 'ka lo mi ren sta vu el dor ian que fi sun ta bre no pel ar gil to hu es wen ra ju mon cal di'.split(' ');
const accents = ['é', 'ß', 'ñ', 'λόγος', 'мир', '水', '—', '😀'];

function word(next: Uint32Source): string {
  let made = '';
  for (let i = next() % 3; i >= 0; i -= 1) made += syllables[next() % syllables.length];
  return made;
}

/** Words come from a small vocabulary with a skewed choice, as in a language. */
function vocabulary(next: Uint32Source, count: number): () => string {
  const words = Array.from({ length: count }, () => word(next));
  return () => words[Math.floor(((next() % 4096) / 4096) ** 2 * count)] as string; // the index is below count
}

function sentence(next: Uint32Source, pick: () => string): string {
  const words = Array.from({ length: 5 + (next() % 12) }, pick);
  if (next() % 9 === 0) words.push(accents[next() % accents.length] as string); // the index is below length
  const text = words.join(' ');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}. `;
}

function jsonRecord(next: Uint32Source, pick: () => string): string {
  const record = {
    id: next() % 1_000_000,
    name: `${pick()} ${pick()}`,
    balance: `$${(next() % 4000) + (next() % 100) / 100}`,
    active: next() % 2 === 0,
    tags: [pick(), pick(), pick()],
    about: sentence(next, pick),
    latitude: (next() % 180_000_000) / 1e6 - 90,
  };
  return `${JSON.stringify(record, null, 2)},\n`;
}

function htmlBlock(next: Uint32Source, pick: () => string): string {
  return `<div class="${pick()}" id="n${next() % 99_999}"><a href="/${pick()}/${pick()}?q=${next() % 999}">${sentence(next, pick)}</a></div>\n`;
}

/** 8-bit grey pixels, 512 a row: slopes, a disc and some noise, behind a bitmap header. */
function bitmap(next: Uint32Source, size: number): Uint8Array {
  const bytes = Buffer.alloc(size);
  bytes.write('BM', 0, 'latin1');
  bytes.writeUInt32LE(size, 2);
  for (let i = 54; i < size; i += 1) {
    const x = (i - 54) % 512;
    const y = Math.floor((i - 54) / 512);
    const disc = (x - 256) ** 2 + (y - 256) ** 2 < 19_600 ? 90 : 0;
    bytes[i] = (x / 4 + y / 8 + disc + (next() % 14)) & 0xff;
  }
  return bytes;
}

/** Stretches of operators between stretches that look compressed already. */
function packedDocument(next: Uint32Source, size: number): Uint8Array {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for (let object = 1; total < size; object += 1) {
    const noise = Buffer.alloc(2048 + (next() % 4096));
    for (let i = 0; i < noise.length; i += 1) noise[i] = next() & 0xff;
    const head = Buffer.from(`${object} 0 obj\n<< /Length ${noise.length} /Filter /FlateDecode >>\nstream\n`, 'latin1');
    pieces.push(head, noise, Buffer.from('\nendstream\nendobj\n', 'latin1'));
    total += head.length + noise.length + 18;
  }
  return Buffer.concat(pieces).subarray(0, size);
}

function text(name: CorpusName, size: number): Uint8Array {
  const next = seededNumbers(seedFor(1, name));
  const pick = vocabulary(next, name === 'prose' ? 900 : 400);
  const make = name === 'json' ? jsonRecord : name === 'html' ? htmlBlock : sentence;
  const pieces: Buffer[] = [];
  let total = 0;
  while (total < size) {
    const piece = Buffer.from(make(next, pick), 'utf8');
    pieces.push(piece);
    total += piece.length;
  }
  // Cut between characters, and filled up to the size with blanks.
  const bytes = Buffer.concat(pieces).subarray(0, size);
  for (let i = size - 1; i >= 0 && (bytes[i] as number) >= 0x80; i -= 1) bytes[i] = 0x20;
  return bytes;
}

const made = new Map<CorpusName, Uint8Array>();

/** The whole corpus. Made once, then kept: do not write to it. */
export function corpus(name: CorpusName): Uint8Array {
  let bytes = made.get(name);
  if (bytes === undefined) {
    const next = seededNumbers(seedFor(1, name));
    bytes =
      name === 'bitmap' ? bitmap(next, sizes[name]) : name === 'document' ? packedDocument(next, sizes[name]) : text(name, sizes[name]);
    made.set(name, bytes);
  }
  return bytes;
}

const placesOf = new Map<CorpusName, Uint32Array>();

/** Where each code point of a text begins, and where the last one ends. Made once: every case of a group walks the same text. */
function codePoints(name: CorpusName): Uint32Array {
  let places = placesOf.get(name);
  if (places === undefined) {
    const bytes = corpus(name);
    const all = new Uint32Array(bytes.length + 1);
    let count = 0;
    for (let i = 0; i < bytes.length; i += 1) if (((bytes[i] as number) & 0xc0) !== 0x80) all[count++] = i; // i < length
    all[count] = bytes.length;
    places = all.subarray(0, count + 1);
    placesOf.set(name, places);
  }
  return places;
}

/** Successive slices that walk round the corpus: `size` bytes, or for text `size` code points. */
export function corpusWalker(name: CorpusName, kind: 'text' | 'binary', size: number): () => Uint8Array {
  const bytes = corpus(name);
  const places = kind === 'text' ? codePoints(name) : null;
  const units = places === null ? bytes.length : places.length - 1;
  let position = 0;
  return () => {
    if (position + size > units) position = 0;
    const end = position + size;
    const slice = places === null ? bytes.subarray(position, end) : bytes.subarray(places[position], places[end]);
    position = end;
    return slice;
  };
}
