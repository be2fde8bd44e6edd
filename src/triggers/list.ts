import type { TriggerType } from './model.ts';

/** All triggers there are, in the order of the reference page. */
export const TRIGGERS: readonly TriggerType[] = [];

export function triggerType(name: string): TriggerType | undefined {
  return TRIGGERS.find((type) => type.type === name);
}
