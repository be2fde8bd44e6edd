import { z } from 'zod';
import { TRIGGERS } from '../triggers/list.ts';
import type { TriggerType } from '../triggers/model.ts';
import { fieldsForm, objectForm, triggerFields } from './autoscale-schema.ts';
import { serviceBackupKey } from './backup-schema.ts';
import { edgeKey, type KEY_NAMES, releaseKey, settingsKey } from './schema.ts';

/** A trigger of one type: so editors complete and check its metadata. */
const triggerOf = (type: TriggerType) =>
  z.strictObject({ type: z.literal(type.type), metadata: type.metadata, ...triggerFields }).describe(type.summary);

const anyType = () => z.union(TRIGGERS.map(triggerOf));

const autoscaleKey = z
  .union([fieldsForm(anyType()), objectForm(anyType())])
  .describe(
    'Scales this service by what its triggers say: the `spec` of a KEDA ScaledObject without `scaleTargetRef`, or a whole ScaledObject. The service needs `deploy.resources.limits.memory`.',
  );

/** The schema of every key, for the reference page and for editors. Reading a project loads of x-autoscale only what its services need. */
export const KEYS = {
  service: { 'x-edge': edgeKey, 'x-release': releaseKey, 'x-autoscale': autoscaleKey, 'x-backup': serviceBackupKey },
  project: { 'x-composure': settingsKey },
} satisfies { [K in keyof typeof KEY_NAMES]: Record<(typeof KEY_NAMES)[K][number], z.ZodType> };
