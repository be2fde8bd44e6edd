import type { z } from 'zod';
import { autoscaleKey } from './autoscale-schema.ts';
import { edgeKey, type KEY_NAMES, releaseKey, settingsKey } from './schema.ts';

/** The schema of every key, for the reference page and for editors. Reading a project loads x-autoscale's only where a service has it. */
export const KEYS = {
  service: { 'x-edge': edgeKey, 'x-release': releaseKey, 'x-autoscale': autoscaleKey },
  project: { 'x-composure': settingsKey },
} satisfies { [K in keyof typeof KEY_NAMES]: Record<(typeof KEY_NAMES)[K][number], z.ZodType> };
