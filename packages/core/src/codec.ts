/**
 * `@ferrywire/core/frame`: the frame codec alone (RFC 6455 sections 5.2, 5.3, 5.5.1, 7.4, 8.1), for those who write their own endpoint.
 */
export type { CloseInfo } from './close.ts';
export { checkPartialClosePayload, isSendableCloseCode, parseClosePayload, serializeClosePayload, truncateReason } from './close.ts';
export type { FrameContext, FrameHeader, FrameInit, LenientFlags } from './frame.ts';
export {
  checkFrameHeader,
  createFrameHeader,
  decodeFrameHeader,
  encodeFrameHeader,
  frameHeaderSize,
  Opcode,
  serializeFrame,
} from './frame.ts';
export type { ParsedFrame } from './frame-parser.ts';
export { FrameParser } from './frame-parser.ts';
export { applyMask, copyMasked } from './mask.ts';
export { incompleteTail, Utf8Validator } from './utf8.ts';
export type { Violation, ViolationCode } from './violations.ts';
export { isViolation, violations } from './violations.ts';
