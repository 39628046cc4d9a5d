/**
 * A program of its own, since classes take their base as they are loaded: a socket closes where a program has its own class `CloseEvent`. Prints what
 * the event says, and whether it is of that class.
 */
import { joinedSocket } from './joined.mjs';

/** @type {Record<string, unknown>} */
const classes = {
  'no Event': class {},
  fields: class extends Event {
    /** @param {string} type @param {{ code: number }} init */
    constructor(type, init) {
      super(type);
      Object.assign(this, { code: init.code });
    }
  },
  accessors: class extends Event {
    get code() {
      return 0;
    }
  },
};
const Given = /** @type {new () => object} */ (classes[process.argv[2] ?? '']);
Object.defineProperty(globalThis, 'CloseEvent', { value: Given });

const { socket, transport } = await joinedSocket();
socket.onclose = (event) => process.stdout.write(JSON.stringify([event.code, event.reason, event.wasClean, event instanceof Given]));
// A close frame with 4001 and 'why'.
transport.feed(Uint8Array.of(0x88, 5, 0x0f, 0xa1, 0x77, 0x68, 0x79));
transport.feedEof();
