import type { ContainerInfo } from '../../docker/api.ts';
import { formatMs } from '../../kit/duration.ts';
import type { DrilledService } from './model.ts';

/** How long a service without a health check has to stay up. */
export const STEADY_MS = 10_000;

export type Judgement = { done: false } | { done: true; readyAt: number | undefined; service: Omit<DrilledService, 'log'> };

/**
 * What a container of the drill has come to. `isJob`: others wait for its end. `mayEnd`: it would not be started again when it ends. Times in
 * ms since 1970; `readyAt` is when it served its purpose. Pure.
 */
export function judge(
  service: string,
  { State, Config }: Pick<ContainerInfo, 'State' | 'Config'>,
  { isJob, mayEnd, now }: { isJob: boolean; mayEnd: boolean; now: number },
): Judgement {
  const started = Date.parse(State.StartedAt);
  const ended = Date.parse(State.FinishedAt);
  const good = (kind: DrilledService['kind'], text: string, readyAt: number): Judgement => ({
    done: true,
    readyAt,
    service: { service, kind, text },
  });
  const bad = (text: string): Judgement => ({ done: true, readyAt: undefined, service: { service, kind: 'failed', text } });
  if (State.Status === 'created') return { done: false };
  if (State.Status === 'exited' || State.Status === 'dead') {
    const after = formatMs(Math.max(0, ended - started));
    if (State.OOMKilled) return bad(`ran out of its memory limit after ${after}`);
    if (State.ExitCode === 0 && (isJob || mayEnd)) return good('ended', `ended with 0 after ${after}`, ended);
    return bad(`ended with ${State.ExitCode} after ${after}`);
  }
  if (isJob) return { done: false };
  const check = Config.Healthcheck?.Test?.[0];
  if (State.Health && State.Health.Status !== 'none' && check !== 'NONE') {
    if (State.Health.Status === 'healthy') return good('healthy', `healthy after ${formatMs(Math.max(0, now - started))}`, now);
    if (State.Health.Status === 'unhealthy') return bad(`unhealthy: ${lastWord(State.Health.Log)}`);
    return { done: false };
  }
  if (now - started < STEADY_MS) return { done: false };
  return good('running', `has no health check; still running after ${formatMs(STEADY_MS)}`, started);
}

function lastWord(log: { ExitCode: number; Output: string }[] | null): string {
  const last = log?.at(-1);
  const words = last?.Output.trim().split('\n').at(-1) ?? '';
  return words === '' ? `its check ended with ${last?.ExitCode ?? 'nothing'}` : words;
}
