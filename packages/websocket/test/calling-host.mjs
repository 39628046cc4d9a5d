/**
 * A program of its own, since classes take their base as they are loaded: a socket where `EventTarget` calls the property `on…` itself, as that of
 * Workers does. Prints what the handlers were called with.
 */
import { joinedSocket } from './joined.mjs';

class Calling extends EventTarget {
  /**
   * @override
   * @param {Event} event
   */
  dispatchEvent(event) {
    const handler = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (this))[`on${event.type}`];
    if (typeof handler === 'function') handler.call(this, event);
    return super.dispatchEvent(event);
  }
}
Object.defineProperty(globalThis, 'EventTarget', { value: Calling });

const { socket, transport } = await joinedSocket();
/** @type {unknown[]} */
const seen = [];
socket.onmessage = () => seen.push('replaced');
socket.onmessage = (event) => seen.push(event.data);
socket.addEventListener('message', (event) => seen.push(`listener ${event.data}`));
socket.onerror = () => seen.push('error');
socket.onerror = null;
socket.onclose = (event) => {
  seen.push(event.code, socket.onmessage !== null, socket.onerror);
  process.stdout.write(JSON.stringify(seen));
};
// A text 'a', then a byte that begins no frame.
transport.feed(Uint8Array.of(0x81, 1, 0x61, 0xff));
transport.feedEof();
