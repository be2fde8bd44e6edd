import { z } from 'zod';
import { flag, text } from '../kit/fields.ts';
import { AUTH_FIELDS, authHeaders, checkAuth } from './authentication.ts';
import { activatesAbove, answerTime, anyCertificate, httpUrl, pairs, query, target } from './fields.ts';
import { get, parseJson, secretsOfUrl, shownUrl } from './http.ts';
import type { Reading, TriggerType } from './model.ts';
import { polled, WITHOUT_CONNECTION } from './polled.ts';

const metadata = z
  .strictObject({
    serverAddress: httpUrl()
      .describe('Where Prometheus answers, with the path that precedes `/api/v1/query` if it has one.')
      .meta({ samples: ['http://prometheus:9090'] }),
    query: query('a PromQL query')
      .describe('PromQL; the answer must be one number: one series, or a scalar.')
      .meta({ samples: ['sum(rate(http_requests_total{service="web"}[1m]))'] }),
    threshold: target()
      .describe('What one worker is to have of it.')
      .meta({ samples: [100] }),
    activationThreshold: activatesAbove(5),
    namespace: text('a namespace')
      .optional()
      .describe('Sent along with the query, as the gateways of Thanos ask for.')
      .meta({ samples: ['shop'] }),
    queryParameters: pairs()
      .optional()
      .describe('More parameters of the request.')
      .meta({ samples: ['dedup=true,partial_response=false'] }),
    customHeaders: pairs()
      .optional()
      .describe('Headers of the request.')
      .meta({ samples: ['X-Scope-OrgID=shop'] }),
    ignoreNullValues: flag()
      .prefault('true')
      .describe(
        '`true`, as in KEDA: no series, or one that is not a number, counts 0. `false`: the reading fails, and nothing is scaled down for it.',
      )
      .meta({ samples: [false] }),
    unsafeSsl: anyCertificate(),
    timeout: answerTime('an answer'),
    ...AUTH_FIELDS('basic', 'bearer'),
  })
  .superRefine(checkAuth);

type Metadata = z.output<typeof metadata>;

/** The number in an answer of /api/v1/query. Throws when there is none. */
export function prometheusReading(answer: unknown, ignoreNullValues: boolean): Reading {
  const { status, error, data } = (answer ?? {}) as {
    status?: string;
    error?: string;
    data?: { resultType?: string; result?: unknown };
  };
  if (status !== 'success') throw new Error(error ?? 'the answer is not one of the query API');
  const values = samplesOf(data?.resultType, data?.result);
  if (values.length > 1) throw new Error(`the query answers ${values.length} series; one number is needed, e.g. by sum()`);
  const value = values.length === 0 ? Number.NaN : Number(values[0]);
  if (Number.isFinite(value)) return { value };
  if (ignoreNullValues) return { value: 0 };
  throw new Error(values.length === 0 ? 'the query answers no series; what it asks for may be lost' : `the query answers ${values[0]}`);
}

function samplesOf(type: string | undefined, result: unknown): unknown[] {
  if (type === 'vector' && Array.isArray(result)) return result.map((series: { value?: unknown[] }) => series.value?.[1]);
  if (type === 'scalar' && Array.isArray(result)) return [result[1]];
  throw new Error(`the query answers ${type ?? 'nothing'}; a vector or a scalar is needed`);
}

function urlOf({ serverAddress, query, namespace, queryParameters = [] }: Metadata): string {
  const url = new URL(`${serverAddress.replace(/\/+$/, '')}/api/v1/query`);
  for (const [name, value] of [['query', query], ...(namespace ? [['namespace', namespace]] : []), ...queryParameters]) {
    url.searchParams.append(name as string, value as string);
  }
  return url.toString();
}

export const prometheus: TriggerType<Metadata> = {
  type: 'prometheus',
  summary: 'What a query to Prometheus, or to anything with its API, answers.',
  metadata,
  metricTypes: ['AverageValue', 'Value'],
  target: ({ threshold, activationThreshold }) => ({ value: threshold, activation: activationThreshold }),
  activates: true,
  freezable: false,
  open(metadata, context) {
    const auth = authHeaders(metadata, context);
    const headers = Object.fromEntries(metadata.customHeaders ?? []);
    return polled({
      ...WITHOUT_CONNECTION,
      type: 'prometheus',
      where: shownUrl(metadata.serverAddress),
      secrets: [...auth.secrets, ...secretsOfUrl(metadata.serverAddress), ...Object.values(headers)],
      ...(metadata.timeout ? { limitMs: metadata.timeout } : {}),
      async look(_, signal) {
        const body = await get(context, {
          url: urlOf(metadata),
          headers: { ...headers, ...auth.headers },
          unsafeSsl: metadata.unsafeSsl,
          signal,
        });
        return prometheusReading(parseJson(body), metadata.ignoreNullValues);
      },
    });
  },
};
