import type pg from 'pg';
import { drive, type Work } from './causal/drive.ts';
import type { Columns } from './causal/linear.ts';
import { createRandom, type Random } from './causal/random.ts';
import { refute } from './causal/refutation.ts';
import { fitResponse } from './causal/response.ts';
import { rollUp } from './causal/rollup.ts';
import { explain } from './causal/shapley.ts';
import { simulateTrial } from './causal/trial.ts';
import { addMoments, drawTwins, fitTwins, startMoments, summarise } from './causal/twins.ts';
import type { Params, Tier } from './kinds.ts';

export interface JobContext {
  id: string;
  database: pg.Pool;
  signal: AbortSignal;
  onProgress: (done: number) => void;
}

export type RunJob = (params: Params, context: JobContext) => Promise<unknown>;

/** What each kind of job does. A job that is started again after an abort gives the same result: nothing here adds to what is there. */
export const jobs: Record<Tier, Record<string, RunJob>> = {
  light: { rollup: rollUpEvents },
  medium: { refutation: refuteEffect },
  heavy: { shapley: explainPopulation, twins: generateTwins },
};

async function rollUpEvents({ days = 30 }: Params, { database }: JobContext): Promise<unknown> {
  const { rows } = await database.query<{ at: string; segment: string; value: number }>(
    `select (extract(epoch from at) * 1000)::float8 as at, segment, value from events
     where at >= date_trunc('day', now(), 'UTC') - make_interval(days => $1)`,
    [days],
  );
  const rollups = rollUp(
    rows.map((row) => ({ ...row, at: Number(row.at) })),
    'day',
  );
  await database.query(
    `insert into rollups (period, start, segment, count, sum, min, max)
     select 'day', to_timestamp(start / 1000), segment, count, sum, min, max
     from unnest($1::float8[], $2::text[], $3::int[], $4::float8[], $5::float8[], $6::float8[]) as u (start, segment, count, sum, min, max)
     on conflict (period, start, segment) do update set count = excluded.count, sum = excluded.sum, min = excluded.min, max = excluded.max`,
    [
      rollups.map((row) => row.start),
      rollups.map((row) => row.segment),
      rollups.map((row) => row.count),
      rollups.map((row) => row.sum),
      rollups.map((row) => row.min),
      rollups.map((row) => row.max),
    ],
  );
  return { events: rows.length, groups: rollups.length, sum: rollups.reduce((sum, row) => sum + row.sum, 0) };
}

async function refuteEffect(
  { individuals = 0, effect = 0, bootstraps = 0, placebos = 0, seed = 0 }: Params,
  { signal, onProgress }: JobContext,
): Promise<unknown> {
  const data = simulateTrial({ individuals, effect, seed });
  return drive(refute(data, { bootstraps, placebos, seed: seed + 1 }), { signal, onProgress });
}

async function explainPopulation(
  { rows = 0, features = 0, background = 0, permutations = 0, seed = 0 }: Params,
  { signal, onProgress }: JobContext,
): Promise<unknown> {
  return drive(importance(rows, features, background, permutations, createRandom(seed)), { signal, onProgress });
}

/** Mean absolute Shapley value per feature over a population, and how exactly the values of each individual added up. */
function* importance(rows: number, features: number, background: number, permutations: number, random: Random): Work<unknown> {
  const draw = (count: number): Columns =>
    Array.from({ length: features }, () => Float64Array.from({ length: count }, () => random.normal()));
  const train = draw(1_000);
  const outcome = Float64Array.from({ length: 1_000 }, (_, r) => {
    const value = (f: number) => train[f % features]?.[r] as number;
    return 2 * value(0) - value(1) + value(0) * value(2) + 0.5 * value(3) ** 2 + 0.3 * random.normal();
  });
  const model = fitResponse(train, outcome);
  const rowOf = (columns: Columns, r: number) => Float64Array.from(columns, (column) => column[r] as number);
  const backgroundRows = Array.from({ length: background }, (_, r) => rowOf(train, r));
  const population = draw(rows);
  const totals = new Float64Array(features);
  let worstGap = 0;
  for (let r = 0; r < rows; r++) {
    const work = explain(model, rowOf(population, r), backgroundRows, permutations, random);
    let step = work.next();
    while (!step.done) {
      yield (r + step.value) / rows;
      step = work.next();
    }
    const { values, prediction, expected } = step.value;
    let sum = 0;
    for (let f = 0; f < features; f++) {
      sum += values[f] as number;
      totals[f] = (totals[f] as number) + Math.abs(values[f] as number) / rows;
    }
    worstGap = Math.max(worstGap, Math.abs(sum - (prediction - expected)));
  }
  return { rows, importance: [...totals], worstGap };
}

async function generateTwins(
  { count = 0, seed = 0, store = 0 }: Params,
  { id, database, signal, onProgress }: JobContext,
): Promise<unknown> {
  const random = createRandom(seed);
  const sample = surveySample(500, random);
  const model = fitTwins(sample);
  const moments = startMoments(sample.length);
  if (store) await database.query('delete from twins where job = $1', [id]);
  for (const batch of drawTwins(model, count, random, 2_000)) {
    signal.throwIfAborted();
    addMoments(moments, batch);
    if (store) {
      const columns = batch.map((column) => Array.from(column));
      await database.query(
        'insert into twins (job, age, spend, visits) select $1, u.* from unnest($2::real[], $3::real[], $4::real[]) as u',
        [id, ...columns],
      );
    }
    onProgress(moments.count / count);
    await new Promise(setImmediate);
  }
  const original = startMoments(sample.length);
  addMoments(original, sample);
  return { columns: ['age', 'spend', 'visits'], sample: summarise(original), twins: summarise(moments), stored: store === 1 };
}

/** Stands for the small survey that a real population is extrapolated from: age, monthly spend and visits of some hundred people. */
function surveySample(people: number, random: Random): Columns {
  const age = new Float64Array(people);
  const spend = new Float64Array(people);
  const visits = new Float64Array(people);
  for (let i = 0; i < people; i++) {
    const habit = random.normal();
    age[i] = Math.min(90, Math.max(18, 45 + 12 * (0.6 * habit + 0.8 * random.normal())));
    spend[i] = Math.exp(4 + 0.4 * habit + 0.3 * random.normal());
    visits[i] = Math.max(0, 4 + 2 * habit + random.normal());
  }
  return [age, spend, visits];
}
