/** One line of the readable wire log (`ConnectionOptions.onTrace`). */
import type { Millis } from './common.ts';

export interface TraceEntry {
  readonly direction: 'in' | 'out' | 'state' | 'timer';
  readonly text: string;
  readonly at: Millis;
}
