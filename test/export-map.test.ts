/**
 * The export map: which name is imported from where. Programs of others import them, so none may move or vanish.
 */
import { describe, expect, it } from 'vitest';

const classes = ['WebSocket', 'WebSocketStream', 'messageStreams'];
const map: Readonly<Record<string, readonly string[]>> = {
  '@ferrywire/core': ['Connection', 'prepareMessage'],
  '@ferrywire/core/frame': [
    ...['Opcode', 'createFrameHeader', 'decodeFrameHeader', 'checkFrameHeader', 'frameHeaderSize', 'encodeFrameHeader', 'serializeFrame'],
    ...['FrameParser', 'applyMask', 'copyMasked', 'parseClosePayload', 'serializeClosePayload', 'isSendableCloseCode', 'truncateReason'],
    'Utf8Validator',
  ],
  '@ferrywire/handshake': [
    ...['decideUpgrade', 'createUpgrade', 'isWebSocketRequest', 'parseUri', 'acceptKey', 'parseExtensions', 'formatExtensions'],
    ...['getHeader', 'ServerProtocol', 'ClientProtocol'],
  ],
  '@ferrywire/deflate': ['clientDeflate', 'serverDeflate'],
  '@ferrywire/deflate/zlib': ['zlibCodec'],
  '@ferrywire/deflate/pako': ['pakoCodec'],
  '@ferrywire/driver': ['drive'],
  '@ferrywire/driver/testing': ['fakeTransport', 'virtualClock', 'pair'],
  '@ferrywire/websocket': classes,
  '@ferrywire/node': ['listen', 'serve', 'attach', 'connect', ...classes],
  '@ferrywire/deno': ['listen', 'serve', 'connect', ...classes],
  '@ferrywire/bun': ['listen', 'serve', 'connect', ...classes],
  '@ferrywire/streams': ['attach', 'connect', ...classes],
  '@ferrywire/http-listener': ['HttpListener', 'ClientWebSocket'],
  '@ferrywire/conformance': ['cases', 'runCases', 'inProcess', 'serverUrl', 'makeReport'],
};

describe('the export map', () => {
  it.each(Object.entries(map))('%s', async (specifier, names) => {
    const exported = (await import(specifier)) as Readonly<Record<string, unknown>>;
    expect(names.filter((name) => exported[name] === undefined)).toEqual([]);
    if (names.includes('serve')) expect(exported.serve).toBe(exported.listen);
  });
});
