/**
 * All cases, in the order of their numbers.
 */
import type { Case } from '../case.ts';
import { closingCases } from './closing.ts';
import { compressionCases } from './compression.ts';
import { extraFrameCases } from './extra-frames.ts';
import { extraOtherCases } from './extra-others.ts';
import { frameCases } from './frames.ts';
import { textCases } from './text.ts';
import { volumeCases } from './volume.ts';

/** The 517 cases of the Autobahn suite, under their ids. */
export const cases: readonly Case[] = [...frameCases(), ...textCases(), ...closingCases(), ...volumeCases(), ...compressionCases()];

/** What the Autobahn suite never had, under ids of their own (`F.*`): they run where they are asked for. */
export const extraCases: readonly Case[] = [...extraFrameCases(), ...extraOtherCases()];
