import { Cron } from 'croner';
import { z } from 'zod';
import { count, scalar } from '../kit/fields.ts';
import type { Reading, TriggerType } from './model.ts';
import { polled, WITHOUT_CONNECTION } from './polled.ts';

const FIELD = /^[0-9A-Za-z*?,/-]+$/;
/** Words that a cron expression of five fields may hold; anything else (L, W, #) only some programs understand. */
const NAMES = /^(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)$/i;

const expression = () =>
  scalar('a cron expression of five fields: minute, hour, day of month, month, day of week', (text) => {
    const fields = text.trim().split(/\s+/);
    const known = fields.every((field) => FIELD.test(field) && (field.match(/[A-Za-z]+/g) ?? []).every((name) => NAMES.test(name)));
    // Sunday is 0: 7 is not known everywhere.
    if (fields.length !== 5 || !known || /(^|[,-])7/.test(fields[4] as string)) return undefined;
    try {
      return schedule(fields.join(' '), 'UTC').nextRun(new Date(0)) ? fields.join(' ') : undefined;
    } catch {
      return undefined;
    }
  });

const timezone = () =>
  scalar('a time zone of the IANA database, such as Europe/Berlin', (text) => {
    try {
      new Intl.DateTimeFormat('en', { timeZone: text });
      return text;
    } catch {
      return undefined;
    }
  });

const metadata = z
  .strictObject({
    timezone: timezone()
      .describe('Time zone that `start` and `end` are meant in, from the IANA database.')
      .meta({ samples: ['Europe/Berlin', 'UTC'] }),
    start: expression()
      .describe('When the window opens: minute, hour, day of month, month, day of week.')
      .meta({ samples: ['0 8 * * 1-5'] }),
    end: expression()
      .describe('When it closes.')
      .meta({ samples: ['0 18 * * 1-5'] }),
    desiredReplicas: count(1)
      .describe('Workers that there are at least while the window is open.')
      .meta({ samples: [3] }),
  })
  .refine(({ start, end }) => start !== end, { path: ['end'], error: 'start and end are the same time' });

type Metadata = z.output<typeof metadata>;

/** The window is open while the next end comes before the next start, as KEDA has it. */
export function cronReading({ timezone, start, end, desiredReplicas }: Metadata, nowMs: number): Reading {
  const next = (pattern: string) => schedule(pattern, timezone).nextRun(new Date(nowMs))?.getTime() ?? Number.POSITIVE_INFINITY;
  const open = next(end) <= next(start);
  return { value: open ? desiredReplicas : 0, active: open };
}

function schedule(pattern: string, timezone: string): Cron {
  return new Cron(pattern, { timezone, mode: '5-part', paused: true });
}

export const cron: TriggerType<Metadata> = {
  type: 'cron',
  summary: 'Keeps at least a number of workers while a window of the day or week is open.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: () => ({ value: 1, activation: 0 }),
  activates: true,
  freezable: false,
  open: (metadata, context) =>
    polled({
      ...WITHOUT_CONNECTION,
      type: 'cron',
      where: `${metadata.start} to ${metadata.end}, ${metadata.timezone}`,
      secrets: [],
      look: async () => cronReading(metadata, context.now()),
    }),
};
