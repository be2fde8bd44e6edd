/** Vitest's globalSetup of the tests that use the engine: nothing of a scenario outlives its run, whatever happened to it. */
import { isAlive } from './alive.ts';
import { removeDeadPebbles } from './pebble.ts';
import { releaseDeadPorts } from './ports.ts';
import { removeLeftovers } from './registry.ts';

export async function setup(): Promise<() => Promise<void>> {
  const run = `${process.pid}-${Date.now()}`;
  process.env.COMPOSURE_TEST_RUN = run;
  await report(undefined);
  return () => report(run);
}

async function report(run: string | undefined): Promise<void> {
  releaseDeadPorts();
  await removeDeadPebbles(isAlive);
  for (const name of await removeLeftovers(run)) console.log(`removed what ${name} had left`);
}
