/**
 * A subject that says nothing at all would hold a run up for hours: limits of cases go up to 1000 s. After some cases in a row without a single
 * byte from it, limits are short, until something comes.
 */
import type { CaseResult } from './result.ts';
import type { TargetSettings } from './target.ts';

/** So many in a row are no accident. They have their full limits, and a second try as all have. */
const enough = 12;
/** Milliseconds. */
const shortLimit = 500;

export class SilenceGuard {
  #inARow = 0;

  note({ silent }: CaseResult): void {
    this.#inARow = silent ? this.#inARow + 1 : 0;
  }

  /** Whether waiting has been given up. */
  get impatient(): boolean {
    return this.#inARow >= enough;
  }

  limit(settings: TargetSettings): TargetSettings {
    return this.impatient ? { ...settings, longest: shortLimit * settings.timeScale } : settings;
  }
}
