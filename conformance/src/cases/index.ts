/**
 * All cases, in the order of their numbers.
 */
import type { Case } from '../case.ts';
import { closingCases } from './closing.ts';
import { compressionCases } from './compression.ts';
import { frameCases } from './frames.ts';
import { textCases } from './text.ts';
import { volumeCases } from './volume.ts';

/** The 517 cases of the Autobahn suite, under their ids. */
export const cases: readonly Case[] = [...frameCases(), ...textCases(), ...closingCases(), ...volumeCases(), ...compressionCases()];
