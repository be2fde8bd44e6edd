import { z } from 'zod';
import { scalar } from '../kit/fields.ts';
import { API_KEY_FIELDS, AUTH_FIELDS, authHeaders, checkAuth } from './authentication.ts';
import { activatesAbove, answerTime, anyCertificate, httpUrl, target } from './fields.ts';
import { get, parseJson, secretsOfUrl, shownUrl } from './http.ts';
import type { TriggerType } from './model.ts';
import { polled, WITHOUT_CONNECTION } from './polled.ts';
import { parseMetricSelector, parsePath, valueAtMetric, valueAtPath } from './value-location.ts';

const FORMATS = ['json', 'yaml', 'prometheus'] as const;

const format = () =>
  scalar(
    '"json", "yaml" or "prometheus" (KEDA\'s "xml" is not supported)',
    (text) => FORMATS.find((known) => known === text),
    'text',
    FORMATS.map((known) => `\`${known}\``).join(' or '),
  );

const metadata = z
  .strictObject({
    url: httpUrl()
      .describe('What is asked for the number, by GET.')
      .meta({ samples: ['http://api:8000/queue-length'] }),
    valueLocation: scalar('where the number is in the answer, such as queue.length', (text) => (text.trim() === '' ? undefined : text))
      .describe(
        'Where the number is. JSON and YAML: names and indices with dots between them, `\\.` for a dot in a name, a last `#` for the length of a list. Prometheus: a metric with its labels. A text there is read as a Kubernetes quantity.',
      )
      .meta({ samples: ['queue.length', 'queues.0.waiting', 'jobs.#', 'jobs_waiting{queue="mail"}'] }),
    format: format()
      .prefault('json')
      .describe('What the answer is written in.')
      .meta({ samples: ['prometheus'] }),
    targetValue: target()
      .describe('What one worker is to have of it.')
      .meta({ samples: [10] }),
    activationTargetValue: activatesAbove(),
    unsafeSsl: anyCertificate(),
    timeout: answerTime('an answer'),
    ...AUTH_FIELDS('basic', 'bearer', 'apiKey'),
    ...API_KEY_FIELDS,
  })
  .superRefine((fields, context) => {
    checkAuth(fields, context);
    const problem = fields.format === 'prometheus' ? parseMetricSelector(fields.valueLocation) : parsePath(fields.valueLocation);
    if (typeof problem === 'string') context.addIssue({ code: 'custom', path: ['valueLocation'], message: problem });
  });

type Metadata = z.output<typeof metadata>;

/** The number in an answer. Throws when there is none at that place. */
export async function metricsApiValue(
  body: string,
  { format, valueLocation }: Pick<Metadata, 'format' | 'valueLocation'>,
): Promise<number> {
  if (format === 'prometheus') return valueAtMetric(body, valueLocation);
  if (format === 'json') return valueAtPath(parseJson(body), valueLocation);
  const { parse } = await import('yaml');
  return valueAtPath(parse(body), valueLocation);
}

export const metricsApi: TriggerType<Metadata> = {
  type: 'metrics-api',
  summary: 'A number in what an HTTP endpoint of your own answers.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ targetValue, activationTargetValue }) => ({ value: targetValue, activation: activationTargetValue }),
  activates: true,
  freezable: false,
  open(metadata, context) {
    const auth = authHeaders(metadata, context);
    const url = new URL(metadata.url);
    for (const [name, value] of auth.query) url.searchParams.set(name, value);
    return polled({
      ...WITHOUT_CONNECTION,
      type: 'metrics-api',
      where: shownUrl(metadata.url),
      secrets: [...auth.secrets, ...secretsOfUrl(metadata.url)],
      ...(metadata.timeout ? { limitMs: metadata.timeout } : {}),
      async look(_, signal) {
        const body = await get(context, { url: url.toString(), headers: auth.headers, unsafeSsl: metadata.unsafeSsl, signal });
        return { value: await metricsApiValue(body, metadata) };
      },
    });
  },
};
