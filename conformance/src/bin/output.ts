/** Where the command's lines go, and what it ends with. */
export interface Output {
  /** One line, safe for a terminal. */
  out(line: string): void;
  err(line: string): void;
}

export const allFine = 0;
export const somethingFailed = 1;
/** Or wrong use, or no way to go on. */
export const nothingRan = 2;
