import { expect, test } from 'vitest';
import type { AutoscaleEvent } from '../../autoscale/model.ts';
import { createState, decide } from '../../autoscale/policy/decide.ts';
import { referenceScenario } from './scenario.ts';
import { modelWorkload } from './workload.ts';

test('decide that leaves its decisions out, as simulations do, takes the same actions', () => {
  const { tiers, budget } = referenceScenario();
  const [tier] = tiers;
  if (!tier) throw new Error('the reference has three tiers');
  const { jobs } = modelWorkload('poisson', [tier], { seed: 5, durationMs: 600_000, load: 0.3 });
  const events: AutoscaleEvent[] = [
    { atMs: 0, kind: 'host', budget },
    { atMs: 0, kind: 'tier', tier },
    { atMs: 0, kind: 'workers', tier: tier.id, workers: [] },
  ];
  for (let job = 0; job < jobs.count; job += 1) {
    const waiting = job % 40;
    const reading = { value: waiting + 2, queue: { waiting, active: 2 } };
    events.push({ atMs: jobs.atMs[job] as number, kind: 'reading', tier: tier.id, trigger: 'redis-0', reading });
  }
  const play = (explains: boolean) => {
    let state = createState(0);
    let decisions = 0;
    const actions = events.flatMap((event) => {
      const outcome = decide(state, structuredClone(event), explains);
      state = outcome.state;
      decisions += outcome.decisions.length;
      return outcome.actions;
    });
    return { actions, decisions };
  };
  const told = play(true);
  expect(told.actions.length).toBeGreaterThan(5);
  expect(told.decisions).toBeGreaterThan(5);
  expect(play(false)).toEqual({ actions: told.actions, decisions: 0 });
});
