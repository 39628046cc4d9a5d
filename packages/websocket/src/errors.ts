/**
 * Failures by the names the web platform gives them (Web IDL DOMException names).
 */
import { platform } from './platform.ts';

export type DomErrorName = 'SyntaxError' | 'InvalidStateError' | 'InvalidAccessError' | 'NotSupportedError' | 'AbortError';

export function domError(name: DomErrorName, message: string): Error {
  return new platform.DOMException(message, name);
}
