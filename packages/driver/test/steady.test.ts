/** Turns of a protocol that says it is steady: what it is not asked, and whatever makes it a turn like any other again. */
import { Connection, type Millis } from '@ferrywire/core';
import { serializeFrame } from '@ferrywire/core/frame';
import { drive } from '@ferrywire/driver';
import { fakeTransport, virtualClock } from '@ferrywire/driver/testing';
import { describe, expect, it } from 'vitest';
import { answering, ScriptedProtocol } from './helpers.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const DUE = 2000.5;

/** Writes down what it is asked. */
class Asked extends ScriptedProtocol {
  readonly asked: string[] = [];
  constructor() {
    super();
    const { asked } = this;
    for (const name of ['transport', 'wantsRead'] as const) {
      let value: unknown = this[name];
      Object.defineProperty(this, name, {
        get: () => {
          asked.push(name);
          return value;
        },
        set: (next: unknown) => {
          value = next;
        },
      });
    }
    this.due = DUE;
  }
  override nextTimeout(): Millis | null {
    this.asked.push('nextTimeout');
    return super.nextTimeout();
  }
  override takeOutput(): Uint8Array[] {
    this.asked.push('takeOutput');
    return super.takeOutput();
  }
  outputStalled(): void {
    this.asked.push('stalled');
  }
}
class Steady extends Asked {
  isSteady = true;
  steadyUntil(due: Millis): boolean {
    this.asked.push(`steadyUntil ${due}`);
    return this.isSteady;
  }
}
const ALL = ['transport', 'takeOutput', 'transport', 'wantsRead', 'nextTimeout'];
const STEADY = ['steadyUntil 2000', 'takeOutput'];

function setup<P extends Asked>(protocol: P, options: Parameters<typeof fakeTransport>[0] = {}) {
  const clock = virtualClock();
  const transport = fakeTransport({ clock, ...options });
  const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
  transport.attach(driver);
  const asked = (): string[] => protocol.asked.splice(0);
  return { clock, protocol, transport, driver, asked, first: asked() };
}

describe('the end of a turn', () => {
  it('asks a protocol that is steady nothing else', () => {
    const { protocol, transport, driver, asked, first } = setup(new Steady(), { recycles: true });
    expect(first).toEqual(ALL);
    protocol.onData = () => protocol.say(7, 8);
    transport.feed(bytes(1));
    expect([asked(), transport.calls]).toEqual([STEADY, ['write 2']]);
    expect(protocol.recycled).toHaveLength(1);
    driver.pump();
    expect(asked()).toEqual(STEADY);
    protocol.onData = () => driver.pumpSoon();
    transport.feed(bytes(1));
    expect(asked()).toEqual(STEADY);
  });
  it('asks one that is not, and one that can not say, all that there is to ask', () => {
    const unsteady = setup(new Steady());
    unsteady.protocol.isSteady = false;
    unsteady.transport.feed(bytes(1));
    expect(unsteady.asked()).toEqual(['steadyUntil 2000', ...ALL]);
    const plain = setup(new Asked());
    plain.transport.feed(bytes(1));
    expect(plain.asked()).toEqual(ALL);
  });
  it('asks all of it when no timer is set, or reading is paused', () => {
    const { clock, protocol, transport, driver, asked } = setup(new Steady());
    protocol.due = null;
    clock.advance(DUE);
    asked();
    transport.feed(bytes(1));
    expect(asked()).toEqual(ALL);
    protocol.due = clock.now() + 10;
    protocol.wantsRead = false;
    driver.pump();
    asked();
    protocol.wantsRead = true;
    driver.pump();
    expect([asked(), transport.calls]).toEqual([ALL, ['pause', 'resume']]);
  });
  it('asks all of it where the transport stalls, until it has drained', () => {
    const { protocol, transport, driver, asked } = setup(new Steady(), { room: 0 });
    protocol.say(1);
    driver.pump();
    expect(asked()).toEqual(['steadyUntil 2000', 'takeOutput', 'stalled', 'transport', 'transport', 'wantsRead', 'nextTimeout']);
    expect(driver.stalled).toBe(true);
    protocol.say(2);
    transport.feed(bytes(1));
    expect([asked(), transport.calls]).toEqual([['transport', 'transport', 'wantsRead', 'nextTimeout'], ['write 1']]);
    transport.grant();
    expect([asked(), transport.calls]).toEqual([STEADY, ['write 1', 'write 1']]);
  });
});

describe('what happens inside write() in a steady turn', () => {
  it('is looked at in the same event: input, more output, the end', () => {
    const clock = virtualClock();
    const protocol = new Steady();
    const inside: (() => void)[] = [];
    let writes = 0;
    const transport = answering(() => {
      writes++;
      inside.shift()?.();
      return true;
    });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    const turn = (act: () => void): void => {
      inside.push(act);
      protocol.say(1);
      driver.pump();
    };
    turn(() => driver.data(bytes(9)));
    expect(protocol.received).toEqual([9]);
    turn(() => {
      protocol.say(2);
      driver.pump();
    });
    expect([writes, protocol.bufferedAmount]).toEqual([3, 0]);
    turn(() => driver.closed());
    expect([protocol.calls.at(-1), driver.isClosed, clock.pending]).toEqual(['eof', true, 0]);
  });
  it('leaves the driver as it was when it is an exception', () => {
    const clock = virtualClock();
    const protocol = new Steady();
    let isBroken = false;
    const transport = answering(() => {
      if (isBroken) throw new Error('the host is broken');
      return true;
    });
    const driver = drive(protocol, transport, { clock: clock.now, timers: clock });
    isBroken = true;
    protocol.say(1);
    expect(() => driver.pump()).toThrow('the host is broken');
    isBroken = false;
    driver.data(bytes(1));
    expect([protocol.received, clock.pending]).toEqual([[1], 1]);
  });
});

describe('a connection under a driver', () => {
  /** The connection sends its first ping at 2000; the answer comes half a second later, when the timer is set for its deadline. */
  function answered(onPong: (connection: Connection) => void) {
    const clock = virtualClock();
    const connection: Connection = new Connection({
      role: 'server',
      clock: clock.now,
      timeouts: { keepalive: 1000, pong: 100_000 },
      sink: { onPong: () => onPong(connection) },
    });
    const transport = fakeTransport({ clock });
    transport.attach(drive(connection, transport, { clock: clock.now, timers: clock }));
    clock.advance(1000);
    expect([transport.calls, clock.next]).toEqual([['write 6'], 102_000]);
    clock.advance(500);
    transport.feed(serializeFrame({ opcode: 10, payload: transport.written.subarray(2), maskKey: 0 }));
    return { clock, transport };
  }
  it.each([
    ['', () => undefined],
    [' and somebody else asks for it', (connection: Connection) => void connection.nextTimeout()],
  ])('meets a deadline that moved nearer: the next ping, once the last was answered%s', (_, onPong) => {
    const { clock, transport } = answered(onPong);
    expect(clock.next).toBe(3500);
    clock.advance(999);
    expect(transport.writes).toHaveLength(1);
    clock.advance(1);
    expect(transport.writes).toHaveLength(2);
  });
  it('is left alone while messages put the ping off, which then comes in time', () => {
    const { clock, transport } = answered(() => undefined);
    const armed = clock.armed;
    for (let i = 0; i < 100; i++) {
      clock.advance(100);
      transport.feed(serializeFrame({ opcode: 2, payload: bytes(1), maskKey: 0 }));
    }
    expect(transport.writes).toHaveLength(1);
    expect(clock.armed - armed).toBeLessThanOrEqual(12);
    clock.advance(999);
    expect(transport.writes).toHaveLength(1);
    clock.advance(1);
    expect(transport.writes).toHaveLength(2);
  });
});
