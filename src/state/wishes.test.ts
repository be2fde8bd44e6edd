import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { asked, changeWishes, readWishes, wishesPath } from './wishes.ts';

async function withFolder(body: (state: string) => Promise<void>): Promise<void> {
  const state = await mkdtemp(join(tmpdir(), 'composure-wishes-'));
  try {
    await body(state);
  } finally {
    await rm(state, { recursive: true, force: true });
  }
}

test('nothing is wished of a project that nobody asked anything of', () =>
  withFolder(async (state) => {
    expect(await readWishes(state, 'shop')).toEqual({ scale: {}, pause: {} });
  }));

test('wishes of commands at the same time all arrive, and leave nothing else behind', () =>
  withFolder(async (state) => {
    await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        changeWishes(state, 'shop', (wishes) => ({
          ...wishes,
          scale: { ...wishes.scale, [`worker-${index}`]: { ...asked(), replicas: index } },
        })),
      ),
    );
    const { scale } = await readWishes(state, 'shop');
    expect(Object.entries(scale).map(([service, { replicas }]) => `${service}=${replicas}`)).toEqual(
      expect.arrayContaining(Array.from({ length: 8 }, (_, index) => `worker-${index}=${index}`)),
    );
    expect(await readdir(dirname(wishesPath(state, 'shop')))).toEqual(['autoscale.wishes.json']);
  }));

test('a wish that is taken back is gone, the others stay', () =>
  withFolder(async (state) => {
    const pause = { paused: true, pausedScaleIn: false, pausedScaleOut: false };
    await changeWishes(state, 'shop', () => ({
      scale: { light: { ...asked(), replicas: 1 } },
      pause: { light: { ...asked(), ...pause }, heavy: { ...asked(), ...pause, pausedReplicas: 2 } },
    }));
    await changeWishes(state, 'shop', (wishes) => ({ scale: {}, pause: { heavy: wishes.pause.heavy ?? { ...asked(), ...pause } } }));
    expect(await readWishes(state, 'shop')).toMatchObject({ scale: {}, pause: { heavy: { paused: true, pausedReplicas: 2 } } });
    expect(Object.keys((await readWishes(state, 'shop')).pause)).toEqual(['heavy']);
  }));
