import type { z } from 'zod';
import { text, word } from '../kit/fields.ts';
import { fromEnvironment } from './environment.ts';
import { fromVariable } from './fields.ts';
import { basic } from './http.ts';
import type { TriggerContext } from './model.ts';

/** How requests over HTTP say who asks. KEDA takes the secrets from a TriggerAuthentication; here they come from the service's environment. */

type Mode = 'basic' | 'bearer' | 'apiKey';

export interface Authentication {
  authMode?: Mode | undefined;
  authModes?: Mode | undefined;
  usernameFromEnv?: string | undefined;
  passwordFromEnv?: string | undefined;
  bearerTokenFromEnv?: string | undefined;
  apiKeyFromEnv?: string | undefined;
  method?: 'header' | 'query' | undefined;
  keyParamName?: string | undefined;
}

export const AUTH_FIELDS = <M extends Mode>(...modes: M[]) => ({
  authMode: word(...modes)
    .optional()
    .describe('How the request says who asks. Left out: it does not.')
    .meta({ samples: [modes[0]] }),
  authModes: word(...modes)
    .optional()
    .describe('The same; KEDA takes both names. One mode at a time.')
    .meta({ samples: [modes[0]] }),
  usernameFromEnv: fromVariable('the user, for `basic`', 'METRICS_USER'),
  passwordFromEnv: fromVariable('the password, for `basic`', 'METRICS_PASSWORD'),
  bearerTokenFromEnv: fromVariable('the token, for `bearer`', 'METRICS_TOKEN'),
});

export const API_KEY_FIELDS = {
  apiKeyFromEnv: fromVariable('the key, for `apiKey`', 'METRICS_KEY'),
  method: word('header', 'query')
    .optional()
    .describe('Where `apiKey` is sent. Default: `header`.')
    .meta({ samples: ['query'] }),
  keyParamName: text('the name of a header or parameter')
    .optional()
    .describe('Under which name `apiKey` is sent. Default: `X-API-KEY` as a header, `api_key` in the query.')
    .meta({ samples: ['X-Token'] }),
};

const NEEDS: Record<Mode, (keyof Authentication)[]> = {
  basic: ['usernameFromEnv'],
  bearer: ['bearerTokenFromEnv'],
  apiKey: ['apiKeyFromEnv'],
};
const TAKES: Record<Mode, (keyof Authentication)[]> = {
  basic: ['usernameFromEnv', 'passwordFromEnv'],
  bearer: ['bearerTokenFromEnv'],
  apiKey: ['apiKeyFromEnv', 'method', 'keyParamName'],
};

export function checkAuth(metadata: Authentication, context: z.RefinementCtx): void {
  const refuse = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
  const mode = metadata.authMode ?? metadata.authModes;
  if (metadata.authMode && metadata.authModes) refuse('authModes', 'authMode says it already');
  for (const key of mode ? NEEDS[mode] : []) if (metadata[key] === undefined) refuse('authMode', `${mode} needs ${key}`);
  for (const key of Object.values(TAKES).flat()) {
    if (metadata[key] !== undefined && !(mode && TAKES[mode].includes(key))) {
      refuse(key, mode ? `authMode ${mode} does not use it` : 'needs authMode beside it');
    }
  }
}

/** What is added to a request; `secrets` are never to be shown. */
export function authHeaders(
  metadata: Authentication,
  context: TriggerContext,
): { headers: Record<string, string>; query: [string, string][]; secrets: string[] } {
  const take = (key: 'usernameFromEnv' | 'passwordFromEnv' | 'bearerTokenFromEnv' | 'apiKeyFromEnv') =>
    metadata[key] === undefined ? '' : fromEnvironment(context, key, metadata[key]);
  switch (metadata.authMode ?? metadata.authModes) {
    case 'basic': {
      const password = take('passwordFromEnv');
      const headers = basic(take('usernameFromEnv'), password);
      return { headers, query: [], secrets: [password, ...Object.values(headers)] };
    }
    case 'bearer': {
      const token = take('bearerTokenFromEnv');
      return { headers: { Authorization: `Bearer ${token}` }, query: [], secrets: [token] };
    }
    case 'apiKey': {
      const key = take('apiKeyFromEnv');
      return metadata.method === 'query'
        ? { headers: {}, query: [[metadata.keyParamName ?? 'api_key', key]], secrets: [key] }
        : { headers: { [metadata.keyParamName ?? 'X-API-KEY']: key }, query: [], secrets: [key] };
    }
    default:
      return { headers: {}, query: [], secrets: [] };
  }
}
