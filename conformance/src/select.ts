/**
 * Which cases: comma-separated patterns such as `1.*,7.9.*,2.5`. A `*` stands for any characters; without one a pattern is one id. Patterns
 * match whole ids.
 */

/** A list separated by commas; empty items are left out. */
export function parsePatterns(text: string): string[] {
  return text
    .split(',')
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== '');
}

function matcher(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*');
  return new RegExp(`^${escaped}$`, 'i');
}

/** The cases of `all`, in their order, that some pattern of `include` names (all, if it is empty) and none of `exclude`. */
export function selectCases<C extends { readonly id: string }>(
  all: readonly C[],
  include: readonly string[],
  exclude: readonly string[] = [],
): C[] {
  const wanted = include.map(matcher);
  const unwanted = exclude.map(matcher);
  return all.filter(({ id }) => (wanted.length === 0 || wanted.some((re) => re.test(id))) && !unwanted.some((re) => re.test(id)));
}

/** The patterns that name no case of `all`: typing errors, most likely. */
export function unmatchedPatterns(all: readonly { readonly id: string }[], patterns: readonly string[]): string[] {
  return patterns.filter((pattern) => !all.some(({ id }) => matcher(pattern).test(id)));
}
