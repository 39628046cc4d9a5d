/**
 * What the measurements are made of, for measurements of your own: `npm run bench` is the command.
 */
export { type JsonMessages, jsonMessages } from './json-messages.ts';
export { median, medianRatio } from './statistics.ts';
export { clientFrame, clientStream, type PayloadKind, type Stream, serverFrameSize } from './wire.ts';
