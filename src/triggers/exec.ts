import { z } from 'zod';
import { text } from '../kit/fields.ts';
import { activatesAbove, target } from './fields.ts';
import type { TriggerType } from './model.ts';
import { polled, WITHOUT_CONNECTION } from './polled.ts';

const EXPECTED = 'a command as a list, or as words with quotes around what holds blanks';

const metadata = z.strictObject({
  command: z
    .union([z.array(z.string()).min(1, 'expected at least one word'), z.string().transform(words)], { error: `expected ${EXPECTED}` })
    .describe(
      'Runs inside a container; its last line is the number. No shell is started for it: write `["sh", "-c", "…"]` where one is needed.',
    )
    .meta({ form: 'list or text', samples: [['python', 'manage.py', 'count_jobs'], 'rake jobs:count'] }),
  service: text('the name of a service')
    .optional()
    .describe('In a container of which service it runs. Default: the scaled service, which then needs one that runs.')
    .meta({ samples: ['api'] }),
  targetValue: target()
    .describe('What one worker is to have of it.')
    .meta({ samples: [5] }),
  activationValue: activatesAbove(),
});

type Metadata = z.output<typeof metadata>;

/** Words as a shell separates them: by blanks, with quotes and backslashes, and nothing else of a shell. */
export function words(line: string, context: z.RefinementCtx): string[] {
  const parts = /^\s*((?:(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+\s*)+)$/s
    .exec(line)?.[1]
    ?.match(/(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+/gs);
  if (parts) return parts.map((part) => part.replace(/\\(.)|"((?:\\.|[^"\\])*)"|'([^']*)'/gs, unquoted));
  context.addIssue({ code: 'custom', message: `expected ${EXPECTED}` });
  return z.NEVER;
}

function unquoted(_: string, escaped: string | undefined, double: string | undefined, single: string | undefined): string {
  return escaped ?? double?.replace(/\\(["\\])/g, '$1') ?? single ?? '';
}

/** The number in what a command printed. Throws when it failed or printed none. */
export function printedNumber({ code, output }: { code: number; output: string }): number {
  const last = output.trimEnd().split('\n').at(-1)?.trim() ?? '';
  if (code !== 0) throw new Error(`the command ends with ${code}${last ? `: ${last.slice(0, 200)}` : ''}`);
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(last)) return Number(last);
  throw new Error(last ? `the command's last line is no number: ${last.slice(0, 200)}` : 'the command prints nothing');
}

export const exec: TriggerType<Metadata> = {
  type: 'exec',
  summary: 'A number that a command of yours prints. Not of KEDA.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ targetValue, activationValue }) => ({ value: targetValue, activation: activationValue }),
  activates: true,
  freezable: false,
  open: ({ command, service }, context) =>
    polled({
      ...WITHOUT_CONNECTION,
      type: 'exec',
      where: service ?? 'the scaled service',
      // The command may print what its environment holds.
      secrets: Object.entries(context.environment)
        .filter(([name]) => /pass|secret|token|key|credential/i.test(name))
        .map(([, value]) => value),
      look: async () => ({ value: printedNumber(await context.exec(service, command)) }),
    }),
};
